"""How a window of a picture is cut into the sizes that a graph accepts. In integers alone.

A graph may need sides that are multiples of a number, may have one fixed size, and may crop its
output. So a window is continued by mirrored pixels, and cut into overlapping patches where its
graph has a fixed size. Worker and gateway both count pixels by these rules.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

LEAST_SIDE = 48
"""Pixels of the smallest window that a graph of any size is shown: its own padding may fail in
smaller ones. `models.probing.geometry` tries sides from 40 pixels on."""


@dataclass(frozen=True)
class Patch:
    """A stretch of one axis that the graph sees, in pixels of the window; mirrored beyond it."""

    start: int
    stop: int
    keep: tuple[int, int]
    """The input pixels whose output is taken from this patch."""

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Patching:
    """The sizes that a graph accepts. Raises ValueError where no window can be cut into them."""

    multiple: int = 1
    """Sides are multiples of it, and so are the distances between windows and between patches."""
    margin: int = 0
    """Input pixels on each side for which the graph makes no output."""
    overlap: int = 0
    """Input pixels on each side of a patch of fixed size that are another patch's to keep."""
    height: int = 0
    """The only height that the graph accepts; 0 for any."""
    width: int = 0
    foreign: bool = False
    """Whether it is a foreign graph; one of `anysr export` accepts windows of every size."""

    def __post_init__(self) -> None:
        if self.multiple < 1 or min(self.margin, self.height, self.width) < 0:
            raise ValueError(f"{self}: multiple must be at least 1, and nothing negative")
        if (self.height or self.width) and self.overlap < self.margin:
            raise ValueError(f"{self}: overlap must be at least the margin")
        for side in (self.height, self.width):
            if side and self._step(side) < self.multiple:
                raise ValueError(f"{self}: a side of {side} leaves nothing between the overlaps")

    def rows(self, height: int) -> list[Patch]:
        """Return the patches down a window of `height` pixels."""
        return self._cut(height, self.height)

    def columns(self, width: int) -> list[Patch]:
        """Return the patches across a window of `width` pixels."""
        return self._cut(width, self.width)

    def largest_pixels(self, height: int, width: int) -> int:
        """Return the pixels of the largest patch of a window."""
        return self.rows(height)[0].length * self.columns(width)[0].length

    def _step(self, side: int) -> int:
        """Return the distance between two patches of a fixed size."""
        return (side - 2 * self.overlap) // self.multiple * self.multiple

    def _cut(self, length: int, side: int) -> list[Patch]:
        if not side:
            least = max(length, LEAST_SIDE) + 2 * self.margin if self.foreign else length
            needed = -(-least // self.multiple) * self.multiple
            return [Patch(-self.margin, needed - self.margin, (0, length))]
        starts = [-self.margin]
        # The last one ends among mirrored pixels, as far beyond the window as others overlap: where
        # that is depends on the window, and what the graph pads there must not be seen.
        while starts[-1] + side - self.overlap < length:
            starts.append(starts[-1] + self._step(side))
        edges = [0, *(start + self.overlap for start in starts[1:]), length]
        return [
            Patch(start, start + side, keep)
            for start, keep in zip(starts, itertools.pairwise(edges), strict=True)
        ]
