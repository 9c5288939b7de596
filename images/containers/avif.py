"""The header of an AVIF still picture: its items' properties (ISO/IEC 23008-12, 6.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.boxes import Box, Fields
from images.containers.common import Unread
from images.containers.heif import CODED, GRID, Items

Size = tuple[int, int]
"""Width and height in pixels."""

ALPHA_TYPES = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
"""Names of auxiliary pictures that are transparency (ISO/IEC 23000-22, 7.3.5)."""
MAX_NAME = 64
"""Bytes that are read of such a name."""

HIGH_BITDEPTH, TWELVE_BIT, MONOCHROME = 0x40, 0x20, 0x10
"""Flags of an AV1 configuration."""
NCLX = int.from_bytes(b"nclx")

_ORIENTATIONS = {
    None: (1, 8, 3, 6),
    0: (4, 5, 2, 7),
    1: (2, 7, 4, 5),
}
"""EXIF orientation by mirror (none, top and bottom swapped, left and right swapped) and quarter
turns anticlockwise, which come first (23008-12, 6.5.10 and 6.5.12)."""


@dataclass(frozen=True)
class AvifHeader:
    """What the container states. Sizes are in pixels before `orientation` is applied."""

    width: int
    height: int
    orientation: int
    """As in EXIF, 1 to 8; a record in the same file does not count."""
    grey: bool
    alpha: bool
    bits: int
    """Per sample: 8, 10 or 12."""
    code_points: tuple[int, int] | None
    """Colour primaries and transfer characteristics of the property `colr` of type nclx (ITU-T
    H.273); None without one: then those of the stream count."""
    coded: tuple[Size, ...]
    """The sizes to which coded pictures (tiles, transparency, previews) are scaled."""


def read_avif(data: bytes) -> AvifHeader:
    """Read the header of an AVIF. Raises Unread, also for a file that is cut."""
    return _Reader(data).header()


class _Reader:
    """The tables of a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._items = Items(data)
        self._kinds = self._items.kinds()
        self._properties = self._items.properties()
        self._primary = self._items.primary()

    def header(self) -> AvifHeader:
        if self._kind(self._primary) not in (CODED, GRID):
            raise Unread
        alphas = self._alphas()
        for item in {self._primary, *alphas}:
            self._check_grid(item)
        width, height = self._size(self._primary)
        return AvifHeader(
            width=width,
            height=height,
            orientation=self._orientation(),
            grey=bool(self._configuration() & MONOCHROME),
            alpha=self._is_transparent(alphas),
            bits=self._bits(),
            code_points=self._code_points(),
            coded=tuple(self._coded()),
        )

    def _kind(self, item: int) -> bytes:
        return self._kinds.get(item, b"")

    def _fields(self, item: int, kind: bytes) -> Fields:
        box = self._properties.find(item, kind)
        if box is None:
            raise Unread
        return Fields(self._data, box)

    def _size(self, item: int) -> Size:
        """Return the size of an item (6.5.3.1)."""
        fields = self._fields(item, b"ispe")
        fields.version()
        width, height = fields.read(4), fields.read(4)
        if not width or not height:
            raise Unread
        return width, height

    def _check_grid(self, item: int) -> None:
        """Raise Unread for a grid whose own size (6.6.2.3.2) is not that of its item."""
        if self._kind(item) != GRID:
            return
        start, end = self._items.extents(item)[0]
        fields = Fields(self._data, Box(start, min(end, len(self._data))))
        fields.read(1)  # version
        size = 4 if fields.read(1) & 1 else 2
        fields.read(2)  # rows and columns
        if (fields.read(size), fields.read(size)) != self._size(item):
            raise Unread

    def _orientation(self) -> int:
        turn = self._properties.find(self._primary, b"irot")
        mirror = self._properties.find(self._primary, b"imir")
        turns = 0 if turn is None else Fields(self._data, turn).read(1) & 3
        axis = None if mirror is None else Fields(self._data, mirror).read(1) & 1
        return _ORIENTATIONS[axis][turns]

    def _configuration(self) -> int:
        """Return the byte of flags in the configuration (AV1 in ISO BMFF, 2.3.3). A grid is as its
        tiles are."""
        fields = self._fields(self._items.source_of(self._primary), b"av1C")
        fields.read(2)  # version, profile, level
        return fields.read(1)

    def _bits(self) -> int:
        flags = self._configuration()
        if not flags & HIGH_BITDEPTH:
            return 8
        return 12 if flags & TWELVE_BIT else 10

    def _code_points(self) -> tuple[int, int] | None:
        """Return what a box states (23008-12, 6.5.5), of the picture or of a grid's tiles."""
        for item in (self._primary, self._items.source_of(self._primary)):
            for box in self._properties.every(item, b"colr"):
                fields = Fields(self._data, box)
                if fields.read(4) == NCLX:
                    return fields.read(2), fields.read(2)
        return None

    def _alphas(self) -> set[int]:
        """Return the items that are transparency of others."""
        sources = {source for source, _ in self._items.references(b"auxl")}
        return {item for item in sources if self._is_alpha(item)}

    def _is_alpha(self, item: int) -> bool:
        """Return whether an auxiliary item is transparency (6.5.8)."""
        box = self._properties.find(item, b"auxC")
        if box is None or self._kind(item) not in (CODED, GRID):
            return False
        start = box.start + 4  # behind version and flags
        name = self._data[start : min(box.end, start + MAX_NAME)]
        return name.partition(b"\0")[0] in ALPHA_TYPES

    def _is_transparent(self, alphas: set[int]) -> bool:
        """Return whether the picture has transparency, as a whole or in each of its tiles."""
        found = {target for item, target in self._items.references(b"auxl") if item in alphas}
        tiles = self._items.sources_of(self._primary)
        in_tiles = self._kind(self._primary) == GRID and bool(tiles)
        return self._primary in found or (in_tiles and found.issuperset(tiles))

    def _coded(self) -> Iterator[Size]:
        for item, kind in self._kinds.items():
            if kind == CODED and self._properties.find(item, b"ispe") is not None:
                self._check_whole(item)
                yield self._size(item)

    def _check_whole(self, item: int) -> None:
        """Raise Unread for an item that does not lie within the file."""
        if any(end > len(self._data) for _, end in self._items.extents(item)):
            raise Unread
