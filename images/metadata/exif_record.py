"""EXIF records that are written anew: their resolution, and author and copyright alone."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from PIL import ExifTags

from images.directories import ENTRY, Damaged, Entry, Tiff
from images.exif import PREFIX
from images.metadata.density import CENTIMETRE, INCH, made, per_inch
from images.metadata.facts import Density, Metadata

SHORT, RATIONAL = 3, 5
TEXTS = (1, 2, 7, 129)
"""Types of a text: bytes, ASCII, without a type, and UTF-8 (EXIF 3.0)."""
RESOLUTION = (
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
)
RIGHTS = (ExifTags.Base.Artist, ExifTags.Base.Copyright, ExifTags.Base.XPAuthor)
UNITS = {1: None, 2: INCH, 3: CENTIMETRE}
"""Metres by unit; 2 is the default (EXIF 2.32, 4.6.4)."""
MAX_WRITTEN = 65_533
"""Bytes of a record with its prefix: a segment of a JPEG holds no more."""
LARGEST_DENOMINATOR = 10_000
EMPTY = b"II*\0" + struct.pack("<I", 8)
"""The header of a record whose first directory follows at once."""
LONGEST_INSIDE = 4
"""Bytes of values that stand in their entry."""


@dataclass(frozen=True)
class _New:
    """An entry to write."""

    tag: int
    kind: int
    count: int
    values: bytes


def density(record: bytes) -> Density | None:
    """Return the resolution that a bounded record states, None without one."""
    if not record:
        return None
    tiff = Tiff(record)
    found = {entry.tag: entry for entry in tiff.first.entries if not entry.outside}
    x, y = (_rational(tiff, found.get(tag)) for tag in RESOLUTION[:2])
    unit = found.get(RESOLUTION[2])
    metres = UNITS.get(2 if unit is None else unit.value, INCH)
    return None if x is None or y is None else made(x, y, metres)


def _rational(tiff: Tiff, entry: Entry | None) -> float | None:
    if entry is None or entry.kind != RATIONAL or entry.count != 1:
        return None
    above, below = (tiff.number(entry.value_at + at, 4) for at in (0, 4))
    return above / below if below else None


def rights(record: bytes) -> bytes:
    """Return a new record, with its prefix, of what a bounded one states of author and copyright;
    b"" where it states nothing."""
    if not record:
        return b""
    tiff = Tiff(record)
    entries = [
        _New(entry.tag, entry.kind, entry.count, tiff.values(entry))
        for entry in tiff.first.entries
        if entry.tag in RIGHTS and entry.kind in TEXTS and not entry.outside
    ]
    return PREFIX + EMPTY + _directory(entries, len(EMPTY)) if entries else b""


def with_density(exif: bytes, density: Density) -> bytes:
    """Return a record (with its prefix, or b"") with the three entries of its resolution.

    The first directory is written anew behind the record, whose other bytes stay where they are:
    maker notes hold positions. A record that would become too large is returned as it is.
    """
    record = exif.removeprefix(PREFIX) or EMPTY
    order = "<" if record.startswith(b"II") else ">"
    kept, end = _first_entries(record)
    start = end + end % 2
    directory = _directory([*kept, *_resolution(density, order)], start, order)
    head = record[:4] + struct.pack(f"{order}I", start) + record[8:end]
    written = head.ljust(start, b"\0") + directory
    return PREFIX + written if len(PREFIX + written) <= MAX_WRITTEN else exif


def exif_of(metadata: Metadata, has_density: bool) -> bytes:
    """Return the record to write, with its prefix: the resolution stands in it as well, and in a
    format that has no other place for it (`has_density`), also where there is nothing else."""
    if metadata.density is None or (has_density and not metadata.exif):
        return metadata.exif
    return with_density(metadata.exif, metadata.density)


def _first_entries(record: bytes) -> tuple[list[bytes], int]:
    """Return the entries of the first directory as they stand, none for an empty record; and where
    the record ends without that directory, if it is the last part, as it is when written here."""
    try:
        tiff = Tiff(record)
        others = [other.last_byte() for other in tiff.directories() if other != tiff.first]
    except Damaged:
        return [], len(record)
    kept = [entry for entry in tiff.first.entries if entry.tag not in RESOLUTION]
    others += [entry.value_at + entry.size for entry in kept if entry.size > LONGEST_INSIDE]
    is_last = tiff.first.at >= max([len(EMPTY), *others])
    return [entry.raw for entry in kept], tiff.first.at if is_last else len(record)


def _resolution(density: Density, order: str) -> list[bytes | _New]:
    x, y = per_inch(density) if density.absolute else (density.x, density.y)
    values = [_fraction(side, order) for side in (x, y)]
    unit = struct.pack(f"{order}H", 2 if density.absolute else 1)
    rational = [_New(tag, RATIONAL, 1, v) for tag, v in zip(RESOLUTION[:2], values, strict=True)]
    return [*rational, _New(RESOLUTION[2], SHORT, 1, unit)]


def _fraction(value: float, order: str) -> bytes:
    nearest = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    most = (1 << 32) - 1
    return struct.pack(f"{order}II", min(nearest.numerator, most), nearest.denominator)


def _directory(entries: Sequence[bytes | _New], at: int, order: str = "<") -> bytes:
    """Return a directory at a position, the values of its new entries behind it (TIFF 6.0,
    section 2)."""
    behind = at + 2 + ENTRY * len(entries) + 4
    lines, values = [], b""
    for entry in entries:
        if isinstance(entry, _New):
            place = entry.values
            if len(place) > LONGEST_INSIDE:
                place = struct.pack(f"{order}I", behind + len(values))
                values += entry.values + bytes(len(entry.values) % 2)
            line = struct.pack(f"{order}HHI", entry.tag, entry.kind, entry.count)
            lines.append(line + place.ljust(LONGEST_INSIDE, b"\0"))
        else:
            lines.append(entry)
    lines.sort(key=lambda line: struct.unpack(f"{order}H", line[:2]))
    return struct.pack(f"{order}H", len(lines)) + b"".join(lines) + bytes(4) + values
