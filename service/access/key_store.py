"""The gateway's keys, read again when their file changes."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from service.access.key_file import KeyFileError, read_key_file
from service.access.keys import KeyRing

log = logging.getLogger(__name__)

PERIOD_S = 0.5
"""Between two looks at the file; a revoked key counts for two of them at most."""

_Stamp = tuple[int, int, int] | None
"""What tells one state of a file from another; None where there is none."""


class KeyStore:
    """Holds the newest valid keys. Raises KeyFileError if the first read fails.

    A file that becomes invalid, or is missing for a moment while an editor replaces it, changes
    nothing: a slip of the pen must not lock every client out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._seen = _stamp_of(path)
        self.ring: KeyRing = read_key_file(path).ring()

    async def follow(self, period_s: float = PERIOD_S) -> None:
        """Read the file again after each change, for ever."""
        while True:
            await asyncio.sleep(period_s)
            await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        # An editor that writes in place may be at it: what is half there can be valid as well. So a
        # change is read once it has stayed the same for a period.
        before, self._seen = self._seen, _stamp_of(self._path)
        if self._seen == self._stamp or self._seen != before:
            return
        self._stamp = self._seen
        try:
            self.ring = read_key_file(self._path).ring()
        except KeyFileError as error:
            log.error("the keys stay as they are: %s", error)
            return
        log.info("keys read again: %d of %d clients", len(self.ring.keys), self.ring.clients)


def _stamp_of(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
