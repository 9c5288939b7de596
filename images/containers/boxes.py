"""The boxes of an ISO base media file (ISO/IEC 14496-12, 4.2): AVIF and JPEG XL are such files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.common import MAX_PARTS, Unread


@dataclass(frozen=True)
class Box:
    """The range of a box's content in its file."""

    start: int
    end: int


def walk(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, Box]]:
    """Yield type and range of each box in a range, up to the first damaged one. Raises Unread
    after MAX_PARTS."""
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            return
        size, head = int.from_bytes(data[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        if size == 0:
            size = end - at
        if size < head or at + size > end:
            return
        yield data[at + 4 : at + 8], Box(at + head, at + size)
        at += size
    raise Unread


def first_boxes(data: bytes, at: int, end: int) -> dict[bytes, Box]:
    """Return the first box of each type in a range. Raises Unread after MAX_PARTS boxes."""
    return dict(reversed(list(walk(data, at, end))))


class Fields:
    """The numbers in a box, read one after the other."""

    def __init__(self, data: bytes, box: Box) -> None:
        self._data = data
        self._end = box.end
        self.at = box.start
        """Position in the file of the next number."""

    def read(self, size: int) -> int:
        """Return the next number of `size` bytes, 0 for none. Raises Unread beyond the end."""
        start, self.at = self.at, self.at + size
        if self.at > self._end:
            raise Unread
        return int.from_bytes(self._data[start : self.at])

    def bytes(self, size: int) -> bytes:
        """Return the next bytes. Raises Unread beyond the end."""
        self.read(size)
        return self._data[self.at - size : self.at]

    def skip(self, size: int) -> None:
        self.at += size

    def version(self) -> int:
        """Return the version of a full box, whose first four bytes are version and flags."""
        return self.read(4) >> 24
