"""Which part of the picture runs at a time, and which output pixels each part makes.

All in integers: an output pixel belongs to the tile whose core holds its nearest input pixel,
the same rule by which `models.geometry.axis_grid` places it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

DEFAULT_TILE_PIXELS = 512 * 512
"""Input pixels that run at once. What fits is not tiled: a halo is computed twice."""

Window = tuple[int, int]
"""[start, stop) in pixels of the whole axis."""


@dataclass(frozen=True)
class Span:
    """One tile along one axis."""

    core: Window
    """Input pixels that belong to this tile alone."""
    window: Window
    """The core with its halo, clipped to the picture: what the network is shown."""
    output: Window
    """Output pixels whose nearest input pixel lies in the core."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture."""

    rows: Span
    columns: Span

    @property
    def window_pixels(self) -> int:
        """Input pixels that the network is shown: what the tile costs."""
        return _length(self.rows.window) * _length(self.columns.window)


def plan_tiles(
    size: tuple[int, int], output_size: tuple[int, int], halo: int, max_pixels: int
) -> list[Tile]:
    """Cut a picture of `size` (height, width) into tiles, in reading order.

    One tile if the picture has at most `max_pixels`, else near-equal tiles whose cores have at
    most that many, in the layout with the least halo. Raises ValueError for empty or shrinking
    sizes, for a negative halo and for max_pixels below 1.
    """
    (height, width), (out_height, out_width) = size, output_size
    if min(size) < 1 or out_height < height or out_width < width:
        raise ValueError(f"cannot tile {size} into {output_size}")
    if halo < 0 or max_pixels < 1:
        raise ValueError(f"halo {halo} and max_pixels {max_pixels} must be at least 0 and 1")
    down, across = _layout(height, width, halo, max_pixels)
    rows = cut_axis(height, out_height, down, halo)
    columns = cut_axis(width, out_width, across, halo)
    return [Tile(row, column) for row in rows for column in columns]


def cut_axis(n_in: int, n_out: int, parts: int, halo: int) -> list[Span]:
    """Cut an axis into near-equal spans (none empty for parts <= n_in)."""
    edges = [i * n_in // parts for i in range(parts + 1)]
    return [
        Span(
            core=(start, stop),
            window=(max(0, start - halo), min(n_in, stop + halo)),
            output=(_first_output(start, n_in, n_out), _first_output(stop, n_in, n_out)),
        )
        for start, stop in itertools.pairwise(edges)
    ]


def _first_output(start: int, n_in: int, n_out: int) -> int:
    """Return the first output pixel whose nearest input pixel is `start` or beyond: the
    smallest Y with (2 Y + 1) n_in >= 2 start n_out."""
    return max(0, -((n_in - 2 * start * n_out) // (2 * n_in)))


def _layout(height: int, width: int, halo: int, max_pixels: int) -> tuple[int, int]:
    """Return the numbers of tiles down and across that show the network the fewest pixels."""
    if height * width <= max_pixels:
        return 1, 1
    fewest = -(-height * width // max_pixels)
    layouts = []
    for down in range(1, min(height, 2 * fewest) + 1):
        tile_height = -(-height // down)
        if tile_height <= max_pixels:
            across = -(-width // (max_pixels // tile_height))
            tile_width = -(-width // across)
            shown = down * across * (tile_height + 2 * halo) * (tile_width + 2 * halo)
            layouts.append((shown, down, across))
    _, down, across = min(layouts)
    return down, across


def _length(window: Window) -> int:
    return window[1] - window[0]
