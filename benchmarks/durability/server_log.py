"""What a server of a trial has said, over all of its starts."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

FAULTS = ("error", "Error", "Bad file format", "Unknown command", "Invalid")


class ServerLog:
    """A file of lines that outlives the process, so that a later reader sees why it was replaced;
    its methods read what was said since the last start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0
        """Bytes of the file that are of earlier starts."""

    def begin(self) -> BinaryIO:
        """Return the file, to which the next start appends."""
        file = self.path.open("ab")
        self._start = file.tell()
        return file

    @property
    def lines(self) -> list[str]:
        """The lines since the last start."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            return file.read().decode(errors="replace").strip().splitlines()

    @property
    def last_line(self) -> str:
        """What the process said last; of a file that it could not read, what it first said of
        that."""
        lines = self.lines
        faults = (line for line in lines if any(word in line for word in FAULTS))
        return next(faults, lines[-1] if lines else "")
