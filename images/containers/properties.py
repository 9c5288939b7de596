"""The properties of an AVIF's items (ISO/IEC 23008-12, 9.3)."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.boxes import Box, Fields, walk
from images.containers.common import MAX_PARTS, Unread

MAX_ASSOCIATIONS = 4 * MAX_PARTS
"""Items with properties, and properties of items, that are read. An item has four or five."""


class Properties:
    """Boxes that several items may share. Raises Unread where the table is damaged."""

    def __init__(self, data: bytes, box: Box | None) -> None:
        parts = [] if box is None else list(walk(data, box.start, box.end))
        containers = [part for kind, part in parts if kind == b"ipco"]
        self._boxes = [
            found for part in containers[:1] for found in walk(data, part.start, part.end)
        ]
        self._numbers: dict[int, list[int]] = {}
        for item, numbers in _associations(data, [part for kind, part in parts if kind == b"ipma"]):
            if item in self._numbers:
                raise Unread
            self._numbers[item] = numbers

    def find(self, item: int, kind: bytes) -> Box | None:
        """Return the first property of a type that an item has, None where it has none."""
        return next(self.every(item, kind), None)

    def every(self, item: int, kind: bytes) -> Iterator[Box]:
        """Yield the properties of a type that an item has."""
        for number in self._numbers.get(item, ()):
            if number > len(self._boxes):
                raise Unread
            found, box = self._boxes[number - 1]
            if found == kind:
                yield box


def _associations(data: bytes, tables: list[Box]) -> Iterator[tuple[int, list[int]]]:
    """Yield each item with the numbers of its properties, which count from 1 (9.3.2)."""
    left = MAX_ASSOCIATIONS
    for table in tables:
        fields = Fields(data, table)
        form = fields.read(4)
        item_size = 4 if form >> 24 else 2
        bits = 15 if form & 1 else 7
        for _ in range(fields.read(4)):
            item, count = fields.read(item_size), fields.read(1)
            left -= 1 + count
            if left < 0:
                raise Unread
            numbers = (fields.read((bits + 1) // 8) & (1 << bits) - 1 for _ in range(count))
            yield item, [number for number in numbers if number]
