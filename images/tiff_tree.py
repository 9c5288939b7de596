"""The directories of a TIFF as a tree that can be written elsewhere, as an EXIF record is."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from images.containers.common import Unread
from images.containers.tiff import (
    EXIF,
    GPS,
    INTEROP,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    Field,
    TiffFile,
    read_tiff,
)
from images.directories import ENTRY, SIZES
from images.exif import MAX_BYTES

LONG = 4
INSIDE = 4
"""Bytes of values that stand in their entry."""
MAKER_NOTE = 0x927C
"""Holds positions in its old file, which mean nothing in another one."""
DESCRIPTIVE = frozenset(
    (
        *(269, 270, 271, 272, 285, 305, 306, 315, 316),  # document, camera, program, time, artist
        *(X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT),
        *(18246, 18249, 33432, 40091, 40092, 40093, 40094, 40095),  # rating, copyright, Windows'
    )
)
"""Tags of a first directory that say nothing of how samples are stored."""
_BELOW = {None: (EXIF, GPS), EXIF: (INTEROP,)}
"""Tags that point to directories, by the tag of the directory that they stand in."""


@dataclass(frozen=True)
class Value:
    """The values of one entry, in the byte order of their file."""

    kind: int
    """Type of the values (TIFF 6.0, section 2)."""
    count: int
    content: bytes


@dataclass
class Tree:
    """A directory by tags, and those below it by the tags that point to them."""

    values: dict[int, Value] = field(default_factory=dict)
    below: dict[int, Tree] = field(default_factory=dict)


def read_tree(file: TiffFile, at: int, most: int) -> Tree:
    """Return what is DESCRIPTIVE in a directory, and the directories of EXIF below it, without
    maker notes, and values outside the file or beyond `most` bytes in all. Raises Unread for a
    damaged directory."""
    return _Reading(file, most).tree(at)


class _Reading:
    """Reads directories until their values have a number of bytes: entries may share their bytes,
    so that a small file could have many."""

    def __init__(self, file: TiffFile, most: int) -> None:
        self._file = file
        self._left = most

    def tree(self, at: int, above: int | None = None) -> Tree:
        tree, pointers = Tree(), _BELOW.get(above, ())
        for tag, entry in self._file.directory(at).items():
            if tag in pointers:
                below = self._below(entry, tag)
                if below.values or below.below:
                    tree.below[tag] = below
            elif (tag in DESCRIPTIVE) if above is None else (tag != MAKER_NOTE):
                content = self._file.content(entry, self._left) if entry.kind in SIZES else b""
                self._left -= len(content)
                if content:
                    tree.values[tag] = Value(entry.kind, entry.count, content)
        return tree

    def _below(self, entry: Field, tag: int) -> Tree:
        try:
            return self.tree(self._file.number(entry, 0), tag)
        except Unread:
            return Tree()


def exif_of_tiff(data: bytes, page: int) -> bytes:
    """Return what a page of a TIFF, counted from 0, states as EXIF: a record of its own, b"" where
    it states nothing. Raises Unread."""
    file = TiffFile(data)
    tree = read_tree(file, read_tiff(data, page).at, MAX_BYTES)
    return written_file(tree, file.order) if tree.values or tree.below else b""


def written_tree(tree: Tree, at: int, order: str) -> bytes:
    """Return a directory at an even position, its values behind it, and then those below it."""
    count = len(tree.values) + len(tree.below)
    place = at + 2 + ENTRY * count + 4
    entries, behind = {}, b""
    for tag, value in tree.values.items():
        content = value.content
        if len(content) > INSIDE:
            content = struct.pack(f"{order}I", place + len(behind))
            behind += value.content + bytes(len(value.content) % 2)
        head = struct.pack(f"{order}HHI", tag, value.kind, value.count)
        entries[tag] = head + content.ljust(INSIDE, b"\0")
    for tag, below in tree.below.items():
        entries[tag] = struct.pack(f"{order}HHII", tag, LONG, 1, place + len(behind))
        behind += written_tree(below, place + len(behind), order)
    lines = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack(f"{order}H", count) + lines + bytes(4) + behind


def written_file(tree: Tree, order: str) -> bytes:
    """Return a TIFF file of one directory without a picture, which an EXIF record is."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}I", 8) + written_tree(tree, 8, order)
