"""The header of an animated AVIF: its tracks (ISO/IEC 14496-12, 8.3 to 8.7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.avif import HIGH_BITDEPTH, MONOCHROME
from images.containers.boxes import Box, Fields, first_boxes, walk
from images.containers.common import MAX_PARTS, Unread
from images.containers.heif_picture import NCLX

CODED = b"av01"
MAX_TRACKS = 8
"""Tracks that are read; a real file has one, and one of transparency."""
ENTRY_BYTES = 78
"""Of a visual sample entry before its boxes (12.1.3)."""
SIZE_AT = 24
"""Where width and height stand in it, 16 bits each."""
BRAND = b"avis"
"""The major brand with which libavif reads tracks, instead of the picture that stands for them."""


@dataclass(frozen=True)
class Track:
    """A track of AV1; sizes are in pixels."""

    width: int
    height: int
    bits: int
    """Per sample, 8 or more."""
    grey: bool
    code_points: tuple[int, int] | None
    """Colour primaries and transfer characteristics (ITU-T H.273)."""
    auxiliary: bool
    """Whether it is another track's transparency."""
    samples: tuple[tuple[int, int], ...]
    """Start and end in the file of each frame."""


def read_tracks(data: bytes) -> tuple[Track, ...]:
    """Return the tracks of AV1, the colours first. Raises Unread where there is no track of
    colours, for more tracks or frames than are read, and for a file that is cut."""
    if data[8:12] != BRAND:
        raise Unread
    moov = first_boxes(data, 0, len(data)).get(b"moov")
    boxes = () if moov is None else walk(data, moov.start, moov.end)
    found = [box for kind, box in boxes if kind == b"trak"]
    if len(found) > MAX_TRACKS:
        raise Unread
    tracks = [track for box in found if (track := _track(data, box)) is not None]
    tracks.sort(key=lambda track: track.auxiliary)
    if not tracks or tracks[0].auxiliary:
        raise Unread
    return tuple(tracks)


def _track(data: bytes, trak: Box) -> Track | None:
    """Return a track, None for one that is no AV1."""
    parts = first_boxes(data, trak.start, trak.end)
    table = parts
    for kind in (b"mdia", b"minf", b"stbl"):
        if kind not in table:
            return None
        table = first_boxes(data, table[kind].start, table[kind].end)
    entry = _entry(data, table)
    if entry is None:
        return None
    fields = Fields(data, Box(entry.start + SIZE_AT, entry.end))
    width, height = fields.read(2), fields.read(2)
    if not width or not height:
        raise Unread
    own = first_boxes(data, entry.start + ENTRY_BYTES, entry.end)
    flags = _flags(data, own)
    return Track(
        width=width,
        height=height,
        bits=10 if flags & HIGH_BITDEPTH else 8,
        grey=bool(flags & MONOCHROME),
        code_points=_code_points(data, own.get(b"colr")),
        auxiliary=b"auxi" in own or b"tref" in parts,
        samples=tuple(_samples(data, table)),
    )


def _entry(data: bytes, table: dict[bytes, Box]) -> Box | None:
    """Return the description of the samples, where it is the only one, and one of AV1."""
    stsd = table.get(b"stsd")
    entries = [] if stsd is None else list(walk(data, stsd.start + 8, stsd.end))
    return entries[0][1] if len(entries) == 1 and entries[0][0] == CODED else None


def _flags(data: bytes, boxes: dict[bytes, Box]) -> int:
    if b"av1C" not in boxes:
        raise Unread
    fields = Fields(data, boxes[b"av1C"])
    fields.read(2)  # version, profile, level
    return fields.read(1)


def _code_points(data: bytes, box: Box | None) -> tuple[int, int] | None:
    if box is None:
        return None
    fields = Fields(data, box)
    return (fields.read(2), fields.read(2)) if fields.read(4) == NCLX else None


def _samples(data: bytes, table: dict[bytes, Box]) -> Iterator[tuple[int, int]]:
    """Yield where each sample lies: samples follow each other in chunks (8.7.3 to 8.7.5)."""
    sizes = _sizes(data, table)
    chunks = _chunks(data, table)
    per_chunk = _samples_of_chunks(data, table, len(chunks))
    for at, count in zip(chunks, per_chunk, strict=True):
        place = at
        for size in sizes[:count]:
            if place + size > len(data):
                raise Unread
            yield place, place + size
            place += size
        sizes = sizes[count:]
    if sizes:
        raise Unread


def _fields(data: bytes, table: dict[bytes, Box], kind: bytes) -> Fields:
    if kind not in table:
        raise Unread
    fields = Fields(data, table[kind])
    fields.version()
    return fields


def _bounded(count: int) -> int:
    if count > MAX_PARTS:
        raise Unread
    return count


def _sizes(data: bytes, table: dict[bytes, Box]) -> list[int]:
    fields = _fields(data, table, b"stsz")
    same, count = fields.read(4), _bounded(fields.read(4))
    return [same or fields.read(4) for _ in range(count)]


def _chunks(data: bytes, table: dict[bytes, Box]) -> list[int]:
    kind, size = (b"stco", 4) if b"stco" in table else (b"co64", 8)
    fields = _fields(data, table, kind)
    return [fields.read(size) for _ in range(_bounded(fields.read(4)))]


def _samples_of_chunks(data: bytes, table: dict[bytes, Box], chunks: int) -> list[int]:
    """Return the number of samples of each chunk: each entry counts up to the next one's chunk."""
    fields = _fields(data, table, b"stsc")
    entries = [
        (fields.read(4), fields.read(4), fields.read(4)) for _ in range(_bounded(fields.read(4)))
    ]
    counts: list[int] = []
    for number, (first, count, _) in enumerate(entries):
        last = entries[number + 1][0] if number + 1 < len(entries) else chunks + 1
        if first != len(counts) + 1 or not first <= last <= chunks + 1:
            raise Unread
        counts += [min(count, MAX_PARTS)] * (last - first)
    if len(counts) != chunks:
        raise Unread
    return counts
