"""TIFF pictures in layouts that Pillow does not write: tiles, planes, either byte order, several
pages, and transparency of each kind."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from images.containers import tiff as tags
from images.tiff_tree import Tree, Value, written_tree

Samples = NDArray[np.unsignedinteger[Any]]
SHORT, LONG, UNDEFINED = 3, 4, 7


@dataclass(frozen=True)
class Page:
    """One page: samples [H, W, C] of 8 or 16 bits, and how they are stored."""

    samples: Samples
    photometric: int = tags.RGB
    deflated: bool = False
    tile: int | None = None
    """Side in pixels; None for one strip."""
    separate: bool = False
    """Each channel is a plane of its own."""
    extra: int | None = None
    """What the last channel is; None for a colour."""
    more: Mapping[int, Value] = field(default_factory=dict)
    """Further entries."""


def short(*values: int, order: str = "<") -> Value:
    """Return numbers of 16 bits."""
    return Value(SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def undefined(content: bytes) -> Value:
    """Return bytes."""
    return Value(UNDEFINED, len(content), content)


def tiff_file(pages: Sequence[Page], order: str = "<") -> bytes:
    """Return a file of pages."""
    file = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    link = 4
    for page in pages:
        parts = []
        for part in _parts(page, order):
            parts.append((len(file), len(part)))
            file += part
        file += bytes(len(file) % 2)
        at = len(file)
        struct.pack_into(f"{order}I", file, link, at)
        values = _values(page, parts, order)
        file += written_tree(Tree(values), at, order)
        link = at + 2 + 12 * len(values)
    return bytes(file)


def _parts(page: Page, order: str) -> Iterator[bytes]:
    planes = np.moveaxis(page.samples, 2, 0)[..., None] if page.separate else [page.samples]
    for plane in planes:
        for part in _tiles(plane, page.tile):
            stored = part.astype(part.dtype.newbyteorder("<" if order == "<" else ">")).tobytes()
            yield zlib.compress(stored) if page.deflated else stored


def _tiles(plane: Samples, side: int | None) -> Iterator[Samples]:
    if side is None:
        yield plane
        return
    height, width = plane.shape[:2]
    whole = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)))
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield whole[y : y + side, x : x + side]


def _values(page: Page, parts: Sequence[tuple[int, int]], order: str) -> dict[int, Value]:
    height, width, channels = page.samples.shape
    numbers: dict[int, Sequence[int]] = {
        tags.WIDTH: [width],
        tags.HEIGHT: [height],
        tags.BITS: [8 * page.samples.itemsize] * channels,
        tags.COMPRESSION: [tags.DEFLATE if page.deflated else 1],
        tags.PHOTOMETRIC: [page.photometric],
        tags.SAMPLES: [channels],
        tags.PLANES: [2 if page.separate else 1],
    }
    if page.extra is not None:
        numbers[tags.EXTRA] = [page.extra]
    offsets, counts = zip(*parts, strict=True)
    if page.tile is None:
        numbers |= {tags.ROWS: [height], tags.OFFSETS: offsets, tags.COUNTS: counts}
    else:
        sides = {tags.TILE_WIDTH: [page.tile], tags.TILE_HEIGHT: [page.tile]}
        numbers |= {**sides, tags.TILE_OFFSETS: offsets, tags.TILE_COUNTS: counts}
    long = (tags.OFFSETS, tags.COUNTS, tags.TILE_OFFSETS, tags.TILE_COUNTS)
    made = {}
    for tag, values in numbers.items():
        kind, letter = (LONG, "I") if tag in long else (SHORT, "H")
        packed = struct.pack(f"{order}{len(values)}{letter}", *values)
        made[tag] = Value(kind, len(values), packed)
    return made | dict(page.more)
