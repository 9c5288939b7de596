"""EXIF records as bytes: bounded, read without a parser of values, and edited in place.

A record is a TIFF file of up to 64 KiB. Its values are never parsed into objects: other parsers
turn a hostile record of megabytes into millions of fractions, and entries that share their bytes
multiply even a small one. Records beyond these bounds are dropped, and the picture is served.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from PIL import ExifTags

MAX_BYTES = 1 << 16
PREFIX = b"Exif\0\0"

ENTRY = 12
"""Bytes of a directory's entry (TIFF 6.0, section 2)."""
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of a value by its type."""
INTEGERS = (1, 3, 4, 13)
"""The unsigned integer types."""

_UNTRUE = frozenset(
    {
        ExifTags.Base.Orientation,
        ExifTags.Base.ImageWidth,
        ExifTags.Base.ImageLength,
        ExifTags.Base.StripOffsets,
        ExifTags.Base.StripByteCounts,
        ExifTags.Base.JpegIFOffset,
        ExifTags.Base.JpegIFByteCount,
        ExifTags.Base.SubIFDs,
    }
)
"""What an upscaled, upright picture makes untrue, in the first directory."""
_UNTRUE_INSIDE = frozenset({ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight})
"""The same in the Exif directory."""


def bounded(record: bytes) -> bytes:
    """Return a TIFF record, b"" for one that is no TIFF file or larger than it may be: as a whole,
    or in the sum of its values."""
    if len(record) > MAX_BYTES:
        return b""
    try:
        size = sum(entry.size for entry in _kept_entries(record) if not entry.outside)
    except _Damaged:
        return b""
    return record if size <= len(record) else b""


def is_sound(record: bytes) -> bool:
    """Return whether a bounded record may be handed to other parsers: it is one, and all its values
    lie inside it, so that their work is bounded by its length."""
    return bool(record) and not _Tiff(record).points_outside()


def orientation(record: bytes) -> int:
    """Return the orientation, 1 to 8, that the first directory of any record states; 1 where it
    states none that can be read."""
    try:
        entries = _Tiff(record[:MAX_BYTES]).first.entries
    except _Damaged:
        return 1
    for entry in entries:
        if entry.tag == ExifTags.Base.Orientation and entry.kind in INTEGERS and entry.count == 1:
            return entry.value if 1 <= entry.value <= 8 else 1
    return 1


def cleaned(record: bytes) -> bytes:
    """Return a bounded record with its `Exif` prefix, without orientation, sizes, thumbnail and
    damaged entries; b"" if nothing is left, or if parts overlap so that editing one changed
    another. The result is at most four bytes longer than the record and its prefix."""
    try:
        return _cleaned(_Tiff(record)) if record else b""
    except _Damaged:  # parts that overlap, and were changed with others
        return b""


def _cleaned(tiff: _Tiff) -> bytes:
    tiff.drop_thumbnail()
    for directory in list(tiff.directories()):
        tiff.drop(directory, _UNTRUE if directory == tiff.first else _UNTRUE_INSIDE)
    edited = _Tiff(tiff.record)
    inside = edited.below(edited.first, ExifTags.IFD.Exif)
    if inside is not None and not inside.entries:
        edited.drop(edited.first, {ExifTags.IFD.Exif})
        edited = _Tiff(edited.record)
    if not edited.first.entries:
        return b""
    if edited.points_outside():  # only where parts overlap; its end would be anywhere
        raise _Damaged
    end = max(directory.last_byte() for directory in edited.directories())
    record = bytes(edited.record[:end]).ljust(end, b"\0")
    return PREFIX + record if bounded(record) else b""


def _kept_entries(record: bytes) -> Iterator[_Entry]:
    for directory in _Tiff(record).directories():
        yield from directory.entries


class _Damaged(Exception):
    """The record is no TIFF file, or points outside itself."""


@dataclass(frozen=True)
class _Entry:
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
class _Directory:
    at: int
    """Position of the number of its entries."""
    entries: tuple[_Entry, ...]
    next: int
    """Position of the next directory, 0 where there is none."""

    @property
    def end(self) -> int:
        return self.at + 2 + ENTRY * len(self.entries) + 4

    def last_byte(self) -> int:
        """Return the position behind the directory and its values."""
        return max([self.end, *(entry.value_at + entry.size for entry in self.entries)])


class _Tiff:
    """A TIFF file whose directories are read and edited. Raises _Damaged for another file, and for
    directories outside it."""

    def __init__(self, record: bytes | bytearray) -> None:
        self.record = bytearray(record)
        if bytes(self.record[:4]) not in (b"II*\0", b"MM\0*"):
            raise _Damaged
        self._order: Literal["little", "big"] = "little" if record[:1] == b"I" else "big"
        self.first = self._directory(self._number(4, 4))

    def directories(self) -> Iterator[_Directory]:
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

    def below(self, directory: _Directory, tag: int) -> _Directory | None:
        """Return the directory that an entry points to, None without such an entry."""
        for entry in directory.entries:
            if entry.tag == tag:
                return self._directory(entry.value)
        return None

    def drop(self, directory: _Directory, tags: AbstractSet[int]) -> None:
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
        except _Damaged:
            return  # nothing is found there, and the link goes with the other entries
        if second is None:
            return
        values = {entry.tag: entry.value for entry in second.entries}
        start = values.get(ExifTags.Base.JpegIFOffset, 0)
        self._clear(start, values.get(ExifTags.Base.JpegIFByteCount, 0))
        self._clear(second.at, second.end - second.at)

    def _number(self, at: int, size: int) -> int:
        """Return the unsigned integer of `size` bytes at a position."""
        if at + size > len(self.record):
            raise _Damaged
        return int.from_bytes(self.record[at : at + size], self._order)

    def _directory(self, at: int) -> _Directory:
        starts = range(at + 2, at + 2 + ENTRY * self._number(at, 2), ENTRY)
        if starts.stop > len(self.record):
            raise _Damaged
        entries = tuple(self._entry(start) for start in starts)
        linked = starts.stop + 4 <= len(self.record)
        return _Directory(at, entries, self._number(starts.stop, 4) if linked else 0)

    def _entry(self, at: int) -> _Entry:
        tag, kind, count = self._number(at, 2), self._number(at + 2, 2), self._number(at + 4, 4)
        size = SIZES.get(kind, 1) * count
        value_at = at + 8 if size <= 4 else self._number(at + 8, 4)
        outside = value_at + size > len(self.record)
        readable = kind in INTEGERS and count > 0 and not outside
        value = self._number(value_at, SIZES[kind]) if readable else 0
        raw = bytes(self.record[at : at + ENTRY])
        return _Entry(tag, kind, count, size, value_at, value, outside, raw)

    def _clear(self, at: int, size: int) -> None:
        end = min(at + size, len(self.record))
        self.record[at:end] = bytes(max(0, end - at))
