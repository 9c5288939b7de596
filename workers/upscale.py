"""A picture to a larger picture: fill what is hidden, plan tiles, run, stitch, clamp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.geometry import axis_grid
from scheduling.tiling import (
    DEFAULT_TILE_OUTPUT_PIXELS,
    DEFAULT_TILE_PIXELS,
    Tile,
    Tiling,
    plan_tiles,
)
from workers.picture import FloatArray, Picture
from workers.resampling import fill_hidden, lanczos
from workers.runtimes.base import Session


@dataclass(frozen=True)
class Engine:
    """A network bound to a width."""

    session: Session
    width: float
    halo: int
    """Input pixels around a tile that reach its output."""
    tile_pixels: int = DEFAULT_TILE_PIXELS
    tile_output_pixels: int = DEFAULT_TILE_OUTPUT_PIXELS

    @property
    def tiling(self) -> Tiling:
        """How pictures are cut for it."""
        return Tiling(self.halo, self.tile_pixels, self.tile_output_pixels)


OnTile = Callable[[float], Engine | None]
"""Told the part of the work done so far, in (0, 1], after each tile; may raise to stop, and may
answer what to go on with: the same network at another width."""


@dataclass(frozen=True)
class Upscaled:
    """The larger picture, and in how many tiles it was made."""

    picture: Picture
    tiles: int


def upscale(
    picture: Picture, height: int, width: int, engine: Engine | None, on_tile: OnTile
) -> Upscaled:
    """Make a picture of exactly height x width pixels; by plain resampling without an engine.

    Neither side may shrink (ValueError). Grey runs as three equal channels and comes back as
    their mean; transparency is resampled. What `on_tile` raises passes through.
    """
    colour, alpha = picture.colour, picture.alpha
    if alpha is not None:
        colour = fill_hidden(colour, alpha)
        alpha = lanczos(alpha, height, width)
    if engine is None:
        larger, tiles = _resampled(colour, height, width, on_tile), 1
    else:
        larger, tiles = _by_network(colour, height, width, engine, on_tile)
    return Upscaled(replace(picture, colour=larger, alpha=alpha), tiles)


def _resampled(colour: FloatArray, height: int, width: int, on_tile: OnTile) -> FloatArray:
    planes = []
    for number, plane in enumerate(colour, start=1):
        planes.append(lanczos(plane, height, width))
        on_tile(number / len(colour))
    return np.stack(planes)


def _by_network(
    colour: FloatArray, height: int, width: int, engine: Engine, on_tile: OnTile
) -> tuple[FloatArray, int]:
    size, output_size = colour.shape[1:], (height, width)
    tiles = plan_tiles((size[0], size[1]), output_size, engine.tiling)
    larger = np.empty((len(colour), height, width), np.float32)
    total, done = sum(tile.window_pixels for tile in tiles), 0
    for tile in tiles:
        rows, columns = slice(*tile.rows.output), slice(*tile.columns.output)
        larger[:, rows, columns] = _run_tile(colour, output_size, tile, engine)
        done += tile.window_pixels
        engine = on_tile(done / total) or engine
    return larger, len(tiles)


def _run_tile(
    colour: FloatArray, output_size: tuple[int, int], tile: Tile, engine: Engine
) -> FloatArray:
    """Return the output pixels of one tile, [C, rows, columns], clamped to [0, 1]."""
    channels, height, width = colour.shape
    rows = axis_grid(height, output_size[0], tile.rows.window, tile.rows.output)
    columns = axis_grid(width, output_size[1], tile.columns.window, tile.columns.output)
    shown = colour[:, slice(*tile.rows.window), slice(*tile.columns.window)]
    image = np.ascontiguousarray(np.broadcast_to(shown, (3, *shown.shape[1:])))[None]
    made = engine.session.run(image, rows, columns, engine.width)[0]
    if channels == 1:
        made = made.mean(axis=0, keepdims=True)
    clamped: FloatArray = np.clip(made, 0, 1)
    return clamped
