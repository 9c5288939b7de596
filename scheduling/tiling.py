"""Tiling: how a picture is cut into tiles, and which output pixels each tile makes.

All in integers: an output pixel belongs to the tile whose core holds its nearest input pixel,
the rule by which `models.geometry.axis_grid` places it. The worker cuts by this plan, and the
gateway counts the cost of the halos by it.

Networks pad with zeros, as if the picture were surrounded by black, which would change colours at
its edge. So `rim` pixels on every side mirror the picture's outermost ones.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from models.adapters.patches import Patching
from models.catalog import ModelEntry

DEFAULT_TILE_PIXELS = 512 * 512
"""Most input pixels of a tile. A picture that fits is not cut, because halos are computed twice."""
DEFAULT_TILE_OUTPUT_PIXELS = 2048 * 2048
"""Most output pixels of a tile: up to x4 the input bounds a tile, beyond it the output."""

MOST_FOREIGN_BYTES = 512 << 20
LEAST_FOREIGN_PIXELS = 64 * 64
"""A tile of a foreign graph takes at most so much working memory, unless it is smaller than that.
"""

CONTEXT = 48
"""Input pixels around a tile of a network that is not exactly local. Such a network is exact only
on a whole picture; a picture that must be cut is made of tiles that see this much of their
neighbours, and seams may show."""

Size = tuple[int, int]
"""(height, width)."""
Window = tuple[int, int]
"""[start, stop) in pixels of the whole axis."""


@dataclass(frozen=True)
class Tiling:
    """How pictures are cut for one network. Raises ValueError for impossible numbers."""

    halo: int = 0
    """Input pixels around a tile that influence its output."""
    pixels: int = DEFAULT_TILE_PIXELS
    """Most input pixels of a tile, without its halo."""
    output_pixels: int = DEFAULT_TILE_OUTPUT_PIXELS
    """Most output pixels of a tile; a tile is a single input pixel where that makes more."""
    rim: int = 0
    """Mirrored input pixels that extend the picture on every side, at most the halo."""
    output_halo: int = 0
    """Output pixels around a tile that influence it, for a network that mixes output pixels."""
    patching: Patching = field(default_factory=Patching)
    """The sizes that a foreign graph accepts; of any other network all."""

    def __post_init__(self) -> None:
        if not 0 <= self.rim <= self.halo or min(self.pixels, self.output_pixels) < 1:
            raise ValueError(f"{self}: pixels must be at least 1, rim 0, and halo rim")
        if self.output_halo < 0:
            raise ValueError(f"{self}: output_halo must be at least 0")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form; that of our own networks is as earlier versions read it."""
        data = asdict(self)
        if self.patching == Patching():
            del data["patching"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tiling:
        """Return the tiling that `to_dict` wrote. Raises TypeError and ValueError."""
        return cls(**{**data, "patching": Patching(**data.get("patching", {}))})


def tiling_of(
    entry: ModelEntry,
    pixels: int = DEFAULT_TILE_PIXELS,
    output_pixels: int = DEFAULT_TILE_OUTPUT_PIXELS,
) -> Tiling:
    """Return the tiling of a model, within the worker's bounds and the model's own."""
    halo = CONTEXT if entry.halo is None else entry.halo
    bound = min(output_pixels, entry.tile_output_pixels or output_pixels)
    if entry.adapter is None:
        return Tiling(halo, pixels, bound, entry.rim, entry.output_halo)
    patching = entry.adapter.patching
    if not (patching.height and patching.width):
        fitting = MOST_FOREIGN_BYTES // entry.adapter.pixel_bytes
        pixels = min(pixels, max(fitting, LEAST_FOREIGN_PIXELS))
    return Tiling(halo, pixels, bound, entry.rim, entry.output_halo, patching)


@dataclass(frozen=True)
class AxisTile:
    """One tile along one axis."""

    core: Window
    """Input pixels that belong to this tile alone."""
    window: Window
    """Input of the network: the core with its halo, widened to a multiple of what a foreign graph
    needs, clipped to the picture and its rim. It extends beyond the picture by at most the rim."""
    output: Window
    """Output pixels whose nearest input pixel lies in the core."""
    made: Window
    """Output of the network: `output` with the output halo, clipped to what the window can make.
    What lies outside `output` is cut off. Like the window it may extend beyond the picture."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture."""

    rows: AxisTile
    columns: AxisTile

    @property
    def window_pixels(self) -> int:
        """Input pixels of the tile's window."""
        return _length(self.rows.window) * _length(self.columns.window)

    @property
    def made_pixels(self) -> int:
        """Output pixels that the network makes, including those of the halo."""
        return _length(self.rows.made) * _length(self.columns.made)


def plan_tiles(size: Size, output_size: Size, tiling: Tiling) -> list[Tile]:
    """Return the tiles of a picture of `size`, in reading order.

    A picture within the tiling's bounds is one tile; else tiles are nearly equal, in the layout
    with the least halo. Raises ValueError for empty or shrinking sizes.
    """
    rows, columns = _plan_axes(size, output_size, tiling)
    return [Tile(row, column) for row in rows for column in columns]


@functools.lru_cache(256)
def halo_pixels(size: Size, output_size: Size, tiling: Tiling) -> int:
    """Return the number of input pixels that a network computes in the tiles of `plan_tiles` beyond
    the picture's own: rim, halos, and what fills up a foreign graph's patches. Raises ValueError as
    it does.
    """
    rows, columns = _plan_axes(size, output_size, tiling)
    patching = tiling.patching
    down = sum(p.length for row in rows for p in patching.rows(_length(row.window)))
    across = sum(p.length for c in columns for p in patching.columns(_length(c.window)))
    return down * across - size[0] * size[1]


def patch_pixels(tile: Tile, tiling: Tiling) -> int:
    """Return the most input pixels of a tile that the network sees at once."""
    sides = _length(tile.rows.window), _length(tile.columns.window)
    return tiling.patching.largest_pixels(*sides)


def _plan_axes(
    size: Size, output_size: Size, tiling: Tiling
) -> tuple[list[AxisTile], list[AxisTile]]:
    (height, width), (out_height, out_width) = size, output_size
    if min(size) < 1 or out_height < height or out_width < width:
        raise ValueError(f"cannot tile {size} into {output_size}")
    down, across = _layout(size, output_size, tiling)
    around = _around(tiling)
    rows = cut_axis(height, out_height, down, *around)
    return rows, cut_axis(width, out_width, across, *around)


def halves(tile: Tile, size: Size, output_size: Size, tiling: Tiling) -> tuple[Tile, ...]:
    """Return the two tiles that a tile of `plan_tiles` is cut into, across its longer side; none
    for a single pixel."""
    down, across = _length(tile.rows.core), _length(tile.columns.core)
    if max(down, across) == 1:
        return ()
    if down >= across:
        rows = _halved(tile.rows.core, size[0], output_size[0], tiling)
        return tuple(Tile(row, tile.columns) for row in rows)
    columns = _halved(tile.columns.core, size[1], output_size[1], tiling)
    return tuple(Tile(tile.rows, column) for column in columns)


def _halved(core: Window, n_in: int, n_out: int, tiling: Tiling) -> list[AxisTile]:
    start, stop = core
    middle = (start + stop) // 2
    cores = (start, middle), (middle, stop)
    return [_axis_tile(half, n_in, n_out, *_around(tiling)) for half in cores]


def _around(tiling: Tiling) -> tuple[int, int, int, int]:
    return tiling.halo, tiling.rim, tiling.output_halo, tiling.patching.multiple


def cut_axis(
    n_in: int,
    n_out: int,
    parts: int,
    halo: int,
    rim: int = 0,
    output_halo: int = 0,
    multiple: int = 1,
) -> list[AxisTile]:
    """Cut an axis into `parts` nearly equal tiles; none is empty for parts <= n_in. Windows begin
    at multiples of a number from the first one's begin."""
    edges = [i * n_in // parts for i in range(parts + 1)]
    around = halo, rim, output_halo, multiple
    return [_axis_tile(core, n_in, n_out, *around) for core in itertools.pairwise(edges)]


def _axis_tile(
    core: Window, n_in: int, n_out: int, halo: int, rim: int, output_halo: int, multiple: int
) -> AxisTile:
    start, stop = core
    first_seen = (start - halo + rim) // multiple * multiple - rim
    last_seen = -(-(stop + halo + rim) // multiple) * multiple - rim
    window = max(-rim, first_seen), min(n_in + rim, last_seen)
    first, last = (_first_output(edge, n_in, n_out) for edge in core)
    lowest, highest = (_first_output(edge, n_in, n_out) for edge in window)
    made = max(lowest, first - output_halo), min(highest, last + output_halo)
    return AxisTile(core, window, (first, last), made)


def _first_output(start: int, n_in: int, n_out: int) -> int:
    """Return the first output pixel whose nearest input pixel is `start` or beyond: the
    smallest Y with (2 Y + 1) n_in >= 2 start n_out."""
    return -((n_in - 2 * start * n_out) // (2 * n_in))


def _layout(size: Size, output_size: Size, tiling: Tiling) -> tuple[int, int]:
    """Return the numbers of tiles down and across with the fewest pixels to compute."""
    height, width = size
    fewest = max(
        -(-height * width // tiling.pixels),
        -(-output_size[0] * output_size[1] // tiling.output_pixels),
    )
    if fewest == 1:
        return 1, 1
    layouts = []
    for down in range(1, min(height, 2 * fewest) + 1):
        tile_height = -(-height // down)
        widest = _widest(tile_height, size, output_size, tiling)
        if widest:
            across = -(-width // widest)
            tile_width = -(-width // across)
            rows, columns = tile_height + 2 * tiling.halo, tile_width + 2 * tiling.halo
            layouts.append((down * across * rows * columns, down, across))
    _, down, across = min(layouts, default=(0, height, width))
    return down, across


def _widest(tile_height: int, size: Size, output_size: Size, tiling: Tiling) -> int:
    """Return the most columns that a tile of `tile_height` rows may have; 0 if not even one.

    n input pixels make at most ceil(n * outputs / inputs) output pixels, wherever they lie.
    """
    (height, width), (out_height, out_width) = size, output_size
    out_rows = -(-tile_height * out_height // height)
    out_columns = tiling.output_pixels // out_rows
    return min(width, tiling.pixels // tile_height, out_columns * width // out_width)


def _length(window: Window) -> int:
    return window[1] - window[0]
