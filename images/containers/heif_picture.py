"""The picture of an AVIF or HEIC: its items' properties (ISO/IEC 23008-12, 6.5)."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.boxes import Box, Fields
from images.containers.common import Unread
from images.containers.heif import GRID, Items

Size = tuple[int, int]
"""Width and height in pixels."""

ALPHA_TYPES = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
"""Names of auxiliary pictures that are transparency (ISO/IEC 23000-22, 7.3.5)."""
MAX_NAME = 64
"""Bytes that are read of such a name."""
NCLX = int.from_bytes(b"nclx")

_ORIENTATIONS = {
    None: (1, 8, 3, 6),
    0: (4, 5, 2, 7),
    1: (2, 7, 4, 5),
}
"""EXIF orientation by mirror (none, top and bottom swapped, left and right swapped) and quarter
turns anticlockwise, which come first (23008-12, 6.5.10 and 6.5.12)."""


class HeifPicture:
    """The tables of a file whose coded items are of one type. Raises Unread for a damaged file, for
    one that is cut, and for a picture of another type."""

    def __init__(self, data: bytes, coded: bytes) -> None:
        self._data = data
        self._type = coded
        self._items = Items(data)
        self._kinds = self._items.kinds()
        self._properties = self._items.properties()
        self._primary = self._items.primary()
        if self._kind(self._primary) not in (coded, GRID):
            raise Unread
        self._alphas = self._items_of_alpha()
        for item in {self._primary, *self._alphas}:
            self._check_grid(item)

    @property
    def size(self) -> Size:
        """The size before the orientation is applied."""
        return self._size(self._primary)

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

    def orientation(self) -> int:
        """Return the orientation as in EXIF, 1 to 8; a record in the same file does not count."""
        turn = self._properties.find(self._primary, b"irot")
        mirror = self._properties.find(self._primary, b"imir")
        turns = 0 if turn is None else Fields(self._data, turn).read(1) & 3
        axis = None if mirror is None else Fields(self._data, mirror).read(1) & 1
        return _ORIENTATIONS[axis][turns]

    def configuration(self, kind: bytes) -> Fields:
        """Return the coder's configuration, of a property of this type. A grid is as its tiles
        are."""
        return self._fields(self._items.source_of(self._primary), kind)

    def own(self, kind: bytes) -> Fields | None:
        """Return a property of the picture, None where it has none of this type."""
        box = self._properties.find(self._primary, kind)
        return None if box is None else Fields(self._data, box)

    def code_points(self) -> tuple[int, int] | None:
        """Return what a box states (23008-12, 6.5.5), of the picture or of a grid's tiles."""
        for item in (self._primary, self._items.source_of(self._primary)):
            for box in self._properties.every(item, b"colr"):
                fields = Fields(self._data, box)
                if fields.read(4) == NCLX:
                    return fields.read(2), fields.read(2)
        return None

    def _items_of_alpha(self) -> set[int]:
        """Return the items that are transparency of others."""
        sources = {source for source, _ in self._items.references(b"auxl")}
        return {item for item in sources if self._is_alpha(item)}

    def _is_alpha(self, item: int) -> bool:
        """Return whether an auxiliary item is transparency (6.5.8)."""
        box = self._properties.find(item, b"auxC")
        if box is None or self._kind(item) not in (self._type, GRID):
            return False
        start = box.start + 4  # behind version and flags
        name = self._data[start : min(box.end, start + MAX_NAME)]
        return name.partition(b"\0")[0] in ALPHA_TYPES

    def is_transparent(self) -> bool:
        """Return whether the picture has transparency, as a whole or in each of its tiles."""
        found = {target for item, target in self._items.references(b"auxl") if item in self._alphas}
        tiles = self._items.sources_of(self._primary)
        in_tiles = self._kind(self._primary) == GRID and bool(tiles)
        return self._primary in found or (in_tiles and found.issuperset(tiles))

    def coded(self) -> Iterator[Size]:
        """Yield the sizes to which coded pictures (tiles, transparency, previews) are scaled."""
        for item, kind in self._kinds.items():
            if kind == self._type and self._properties.find(item, b"ispe") is not None:
                self._check_whole(item)
                yield self._size(item)

    def coded_with(self, kind: bytes) -> Iterator[tuple[Size, Fields]]:
        """Yield the size of each coded picture, with its property of a type."""
        for item, found in self._kinds.items():
            if found == self._type:
                self._check_whole(item)
                yield self._size(item), self._fields(item, kind)

    def shown_with(self, kind: bytes) -> Iterator[tuple[bytes, Fields]]:
        """Yield the content of each coded picture that is seen, whole or in tiles, with its
        transparency, and its property of a type."""
        for whole in sorted({self._primary, *self._alphas}):
            tiles = self._items.sources_of(whole) if self._kind(whole) == GRID else [whole]
            for item in tiles:
                parts = (self._data[start:end] for start, end in self._items.extents(item))
                yield b"".join(parts), self._fields(item, kind)

    def _check_whole(self, item: int) -> None:
        """Raise Unread for an item that does not lie within the file."""
        if any(end > len(self._data) for _, end in self._items.extents(item)):
            raise Unread
