"""The items of an AVIF: ISO/IEC 23008-12 (HEIF) in boxes of ISO/IEC 14496-12, 8.11."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from images.containers.boxes import Box, Fields, first_boxes, walk
from images.containers.common import MAX_PARTS, Unread
from images.containers.properties import Properties

CODED = b"av01"
GRID = b"grid"
EXIF = b"Exif"
MIME = b"mime"
MAX_NAMES = 512
"""Bytes of an item's name and content type that are read."""


@dataclass(frozen=True)
class Item:
    """One entry of the item table."""

    number: int
    kind: bytes
    kind_at: int
    """Position of the four bytes of `kind` in the file."""


class Items:
    """The item table of a file. Raises Unread where it is damaged or has more than MAX_PARTS."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        meta = first_boxes(data, 0, len(data)).get(b"meta")
        if meta is None:
            raise Unread
        self._boxes = first_boxes(data, meta.start + 4, meta.end)
        self._extents = dict(self._read_extents())

    def primary(self) -> int:
        """Return the number of the item that is the picture."""
        fields = self._fields(b"pitm")
        return fields.read(2 if fields.version() == 0 else 4)

    def of_kind(self, kind: bytes) -> list[Item]:
        """Return the items of one type, in the order of the table."""
        return [item for item in self._entries() if item.kind == kind]

    def of_content(self, media_type: bytes) -> list[Item]:
        """Return the items of MIME content of one type (8.11.6.2)."""
        return [item for item in self.of_kind(MIME) if self._content_type(item) == media_type]

    def _content_type(self, item: Item) -> bytes:
        start = item.kind_at + 4
        _, _, rest = self._data[start : start + MAX_NAMES].partition(b"\0")
        return rest.partition(b"\0")[0]

    def kinds(self) -> dict[int, bytes]:
        """Return the type of each item."""
        return {item.number: item.kind for item in self._entries()}

    def source_of(self, item: int) -> int:
        """Return the first item that an item is derived from, or itself."""
        return next(iter(self.sources_of(item)), item)

    def sources_of(self, item: int) -> list[int]:
        """Return the items that an item is derived from, as a grid is from its tiles."""
        return [target for source, target in self.references(b"dimg") if source == item]

    def references(self, kind: bytes) -> Iterator[tuple[int, int]]:
        """Yield source and target of each reference of one type (8.11.12). Raises Unread for more
        than MAX_PARTS."""
        box = self._boxes.get(b"iref")
        version = 2 if box is None else self._fields(b"iref").version()
        if box is None or version > 1:  # decoders ignore versions that they do not know
            return
        size = 4 if version else 2
        parts = 0
        for found, references in walk(self._data, box.start + 4, box.end):
            if found != kind:
                continue
            fields = Fields(self._data, references)
            source, count = fields.read(size), fields.read(2)
            parts += count
            if parts > MAX_PARTS:
                raise Unread
            for _ in range(count):
                yield source, fields.read(size)

    def properties(self) -> Properties:
        """Return the properties of all items."""
        return Properties(self._data, self._boxes.get(b"iprp"))

    def extents(self, item: int) -> list[tuple[int, int]]:
        """Return start and end in the file of each part of an item. Raises Unread for an item that
        has none here."""
        found = self._extents.get(item)
        if not found:
            raise Unread
        return found

    def _fields(self, kind: bytes) -> Fields:
        if kind not in self._boxes:
            raise Unread
        return Fields(self._data, self._boxes[kind])

    def _entries(self) -> Iterator[Item]:
        """Yield the entries of the item information box (8.11.6), of versions 2 and up."""
        if b"iinf" not in self._boxes:
            return
        table = self._fields(b"iinf")
        table.read(2 if table.version() == 0 else 4)
        for kind, box in walk(self._data, table.at, self._boxes[b"iinf"].end):
            entry = Fields(self._data, box)
            version = entry.version() if kind == b"infe" else 0
            if version < 2:
                continue
            number = entry.read(2 if version == 2 else 4)
            entry.skip(2)  # protection
            yield Item(number, self._data[entry.at : entry.at + 4], entry.at)

    def _read_extents(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Yield each item with its extents (8.11.3)."""
        iloc = self._fields(b"iloc")
        version, sizes = iloc.version(), iloc.read(2)
        offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_size = sizes & 15 if version else 0
        parts = 0
        for _ in range(iloc.read(4 if version == 2 else 2)):
            item = iloc.read(4 if version == 2 else 2)
            method = iloc.read(2) & 15 if version else 0
            iloc.skip(2)  # the file that holds it: this one
            base, count = iloc.read(base_size), iloc.read(2)
            parts += 1 + count
            if parts > MAX_PARTS:
                raise Unread
            extents = []
            for _ in range(count):
                iloc.skip(index_size)
                offset, length = base + iloc.read(offset_size), iloc.read(length_size)
                extents += self._extent(offset, length, method)
            yield item, extents

    def _extent(self, offset: int, length: int, method: int) -> list[tuple[int, int]]:
        idat: Box | None = self._boxes.get(b"idat")
        if method == 1 and idat is not None:
            offset += idat.start
        elif method:
            return []  # built from other items, which AVIF does not use
        return [(offset, offset + length if length else len(self._data))]
