"""The tiles of one picture that are still to be run, and their halving where memory runs out."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from scheduling.tiling import Size, Tile, Tiling, halves, plan_tiles

log = logging.getLogger("anysr.workers.tile_queue")


@dataclass(frozen=True)
class _Part:
    tile: Tile
    share: int
    """Of the work, in window pixels of the tiles as planned."""
    halved: bool = False
    """Whether it is half of a planned tile."""


class TileQueue:
    """The tiles of a picture of `size`, in reading order. True while one is left."""

    def __init__(self, size: Size, output_size: Size, tiling: Tiling) -> None:
        self._sizes = size, output_size
        self._tiling = tiling
        tiles = plan_tiles(size, output_size, tiling)
        self._waiting = deque(_Part(tile, tile.window_pixels) for tile in tiles)
        self._work = sum(part.share for part in self._waiting)
        self._done = 0
        self.count = len(self._waiting)
        """Tiles in all, those that were run included."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def first(self) -> Tile:
        """The tile to run now."""
        return self._waiting[0].tile

    @property
    def done(self) -> float:
        """The completed part of the work, from 0 to 1."""
        return self._done / self._work

    def drop_first(self) -> None:
        """Count the first tile as completed."""
        self._done += self._waiting.popleft().share

    def halve(self, error: MemoryError) -> None:
        """Cut the remaining tiles in two, because memory ran out in the first one. Raises the error
        where that one is half a tile already, or a single pixel."""
        first = self._waiting[0]
        if first.halved or not halves(first.tile, *self._sizes, self._tiling):
            raise error
        log.warning("memory ran out in a tile; the remaining ones are cut in two: %s", error)
        ran = self.count - len(self._waiting)
        self._waiting = deque(half for part in self._waiting for half in self._halves_of(part))
        self.count = ran + len(self._waiting)

    def _halves_of(self, part: _Part) -> list[_Part]:
        tiles = halves(part.tile, *self._sizes, self._tiling)
        shares = part.share - part.share // 2, part.share // 2
        halved = [_Part(*half, halved=True) for half in zip(tiles, shares, strict=False)]
        return halved or [part]
