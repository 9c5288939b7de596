"""The directories of a TIFF file, which an EXIF record is: read and edited where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from PIL import ExifTags

ENTRY = 12
"""Bytes of a directory's entry (TIFF 6.0, section 2)."""
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value by its type."""
INTEGERS = (1, 3, 4, 13)
"""The unsigned integer types."""


class Damaged(Exception):
    """The record is no TIFF file, or points outside itself."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory."""

    tag: int
    kind: int
    count: int
    size: int
    """Bytes of all its values."""
    value_at: int
    """Position of the first value in the record."""
    value: int
    """The first value, of an unsigned integer type; 0 of another type, and outside the record."""
    outside: bool
    """Values lie beyond the end of the record."""
    raw: bytes
    """The entry as it stands in the directory."""


@dataclass(frozen=True)
class Directory:
    """A directory and where it lies."""

    at: int
    """Position of the number of its entries."""
    entries: tuple[Entry, ...]
    next: int
    """Position of the next directory, 0 where there is none."""

    @property
    def end(self) -> int:
        return self.at + 2 + ENTRY * len(self.entries) + 4

    def last_byte(self) -> int:
        """Return the position behind the directory and its values."""
        return max([self.end, *(entry.value_at + entry.size for entry in self.entries)])


class Tiff:
    """A TIFF file whose directories are read and edited. Raises Damaged for another file, and for
    directories outside it."""

    def __init__(self, record: bytes | bytearray) -> None:
        self.record = bytearray(record)
        if bytes(self.record[:4]) not in (b"II*\0", b"MM\0*"):
            raise Damaged
        self._order: Literal["little", "big"] = "little" if record[:1] == b"I" else "big"
        self.first = self._directory(self.number(4, 4))

    def directories(self) -> Iterator[Directory]:
        """Yield the directories that are kept: the first one, Exif, its Interop, and GPS."""
        yield self.first
        exif = self.below(self.first, ExifTags.IFD.Exif)
        inner = None if exif is None else self.below(exif, ExifTags.IFD.Interop)
        for found in (exif, inner, self.below(self.first, ExifTags.IFD.GPSInfo)):
            if found is not None:
                yield found

    def points_outside(self) -> bool:
        """Return whether values of a kept directory lie outside the record."""
        return any(entry.outside for kept in self.directories() for entry in kept.entries)

    def below(self, directory: Directory, tag: int) -> Directory | None:
        """Return the directory that an entry points to, None without such an entry."""
        for entry in directory.entries:
            if entry.tag == tag:
                return self._directory(entry.value)
        return None

    def drop(self, directory: Directory, tags: AbstractSet[int]) -> None:
        """Remove entries of these tags, with their values, entries whose values lie outside, and
        the link to the next directory."""
        kept = []
        for entry in directory.entries:
            if entry.tag not in tags and not entry.outside:
                kept.append(entry.raw)
            elif not entry.outside:
                self._clear(entry.value_at, entry.size)
        self._clear(directory.at, directory.end - directory.at)
        content = len(kept).to_bytes(2, self._order) + b"".join(kept)
        self.record[directory.at : directory.at + len(content)] = content

    def drop_thumbnail(self) -> None:
        """Clear the second directory, and the picture that it describes."""
        try:
            second = self._directory(self.first.next) if self.first.next else None
        except Damaged:
            return  # nothing is found there, and the link goes with the other entries
        if second is None:
            return
        values = {entry.tag: entry.value for entry in second.entries}
        start = values.get(ExifTags.Base.JpegIFOffset, 0)
        self._clear(start, values.get(ExifTags.Base.JpegIFByteCount, 0))
        self._clear(second.at, second.end - second.at)

    def values(self, entry: Entry) -> bytes:
        """Return the bytes of an entry's values, which must lie in the record."""
        return bytes(self.record[entry.value_at : entry.value_at + entry.size])

    def number(self, at: int, size: int) -> int:
        """Return the unsigned integer of `size` bytes at a position."""
        if at + size > len(self.record):
            raise Damaged
        return int.from_bytes(self.record[at : at + size], self._order)

    def _directory(self, at: int) -> Directory:
        starts = range(at + 2, at + 2 + ENTRY * self.number(at, 2), ENTRY)
        if starts.stop > len(self.record):
            raise Damaged
        entries = tuple(self._entry(start) for start in starts)
        linked = starts.stop + 4 <= len(self.record)
        return Directory(at, entries, self.number(starts.stop, 4) if linked else 0)

    def _entry(self, at: int) -> Entry:
        tag, kind, count = self.number(at, 2), self.number(at + 2, 2), self.number(at + 4, 4)
        size = SIZES.get(kind, 1) * count
        value_at = at + 8 if size <= 4 else self.number(at + 8, 4)
        outside = value_at + size > len(self.record)
        readable = kind in INTEGERS and count > 0 and not outside
        value = self.number(value_at, SIZES[kind]) if readable else 0
        raw = bytes(self.record[at : at + ENTRY])
        return Entry(tag, kind, count, size, value_at, value, outside, raw)

    def _clear(self, at: int, size: int) -> None:
        end = min(at + size, len(self.record))
        self.record[at:end] = bytes(max(0, end - at))
