"""Server-sent events (HTML Living Standard, 9.2.6), as far as the service uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from anysr_client.errors import UnexpectedAnswer

BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
LINE_END = re.compile(rb"\r\n|\n|\r")
MOST_BYTES = 1 << 20
"""Of one event: far above any job's."""


class EventReader:
    """Reads the data of events from pieces of a stream."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, piece: bytes) -> Iterator[str]:
        """Yield the data of each event that a piece completes. Raises UnexpectedAnswer for an
        endless one."""
        *events, self._rest = BLANK_LINE.split(self._rest + piece)
        if len(self._rest) > MOST_BYTES:
            raise UnexpectedAnswer("the server sends an event without end")
        for event in events:
            data = b"\n".join(_data(event))
            if data:
                yield data.decode(errors="replace")


def _data(event: bytes) -> Iterator[bytes]:
    for line in LINE_END.split(event):
        name, _, value = line.partition(b":")
        if name == b"data":
            yield value.removeprefix(b" ")
