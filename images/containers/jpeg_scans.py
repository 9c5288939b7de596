"""The scans of a JPEG: whether they send every coefficient, and where the file ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.common import Unread
from images.containers.jpeg import START_OF_SCAN, segments
from images.containers.jpeg_frame import PROGRESSIVE, read_frame

END = b"\xff\xd9"
ALL = (1 << 64) - 1
"""One bit for each coefficient of a block."""
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What ends entropy-coded data: no stuffed byte, no restart marker, no padding (T.81, B.1.1)."""


@dataclass(frozen=True)
class Scan:
    """One scan: the components and coefficients that its header (T.81, B.2.3) names."""

    components: tuple[int, ...]
    coefficients: int
    """A bit for each."""
    final: bool
    """It sends the last bit of these coefficients (T.81, G.1.1.1.2)."""
    end: int
    """Position behind its entropy-coded data."""


def completed(data: bytes) -> bytes:
    """Return a JPEG with an end marker behind its last scan, and without bytes between its first
    segments; the file itself if it is so.

    Raises Unread for a file without scans, and for one whose scans do not send every coefficient of
    every component: it is cut between two scans.
    """
    data = _without_junk(data)
    frame, scans = read_frame(data), list(_scans(data))
    progressive = frame.marker == PROGRESSIVE
    sent = dict.fromkeys(frame.components, 0)
    for scan in scans:
        for component in scan.components:
            sent[component] = sent.get(component, 0) | (
                scan.coefficients * scan.final if progressive else ALL
            )
    if any(coefficients != ALL for coefficients in sent.values()):
        raise Unread
    end = scans[-1].end
    return data if data[end : end + 2] == END else data[:end] + END


def _without_junk(data: bytes) -> bytes:
    """Return the file without bytes between the segments before its first scan: a decoder's warning
    of them would hide the one of missing pixels."""
    spans = [(start - 4, end) for _, start, end in segments(data)]
    if not spans or sum(end - start for start, end in spans) + 2 == spans[-1][1]:
        return data
    view = memoryview(data)
    parts = (view[start:end] for start, end in spans)
    return b"".join((data[:2], *parts, view[spans[-1][1] :]))


def _scans(data: bytes) -> Iterator[Scan]:
    """Yield the scans up to the end marker; `images.opening` bounds their number."""
    at = 2
    while True:
        found = [(start, end) for kind, start, end in segments(data, at) if kind == START_OF_SCAN]
        if not found:
            return
        [(start, end)] = found
        marker = _MARKER.search(data, end)
        at = marker.start() if marker else len(data)
        yield _scan(data[start:end], at)
        if data[at : at + 2] == END:
            return


def _scan(header: bytes, end: int) -> Scan:
    number = header[0] if header else 0
    if len(header) < 4 + 2 * number:
        raise Unread
    components = tuple(header[1 + 2 * n] for n in range(number))
    first, last, low = header[1 + 2 * number], header[2 + 2 * number], header[3 + 2 * number] & 15
    coefficients = (1 << min(last, 63) + 1) - 1 & ~((1 << min(first, 63)) - 1)
    return Scan(components, coefficients, low == 0, end)
