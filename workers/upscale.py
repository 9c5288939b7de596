"""A picture to a larger picture: fill what is hidden, plan tiles, run, round, stitch.

- Without a network the file's own samples are resampled (`images.resize`).

- A picture that is to keep its size, and to be cleaned of nothing, is left as it is.
- A picture that is grey, whatever its file says, is run as one plane, and gets no tint.
- A network is shown the picture as if it went on beyond its rim (`scheduling.tiling`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from images.picture import FloatArray, Picture, Raster, Samples, rounded
from images.resize import enlarge, enlarge_alpha
from models.geometry import AxisGrid, axis_grid
from scheduling.tiling import (
    DEFAULT_TILE_OUTPUT_PIXELS,
    DEFAULT_TILE_PIXELS,
    AxisTile,
    Tile,
    Tiling,
    plan_tiles,
)
from workers.allocator import trim
from workers.runtimes.base import Interrupted, Releasing, Session
from workers.windows import Windows


@dataclass(frozen=True)
class Engine:
    """A network bound to a width."""

    session: Session
    width: float
    halo: int
    """Input pixels around a tile that reach its output."""
    tile_pixels: int = DEFAULT_TILE_PIXELS
    tile_output_pixels: int = DEFAULT_TILE_OUTPUT_PIXELS
    rim: int = 0
    """Input pixels by which pictures are continued on every side, at most the halo."""
    output_halo: int = 0
    """Output pixels around a tile that reach it, for a network that mixes them."""
    takes_strength: bool = False
    """Whether the network is told how damaged a picture is, and so may clean it."""

    @property
    def tiling(self) -> Tiling:
        """How pictures are cut for it."""
        bounds = self.tile_pixels, self.tile_output_pixels
        return Tiling(self.halo, *bounds, self.rim, self.output_halo)


OnTile = Callable[[float], Engine | None]
"""Told the part of the work done so far, from 0 to 1, after each tile, and again when the next one
was interrupted; may raise to stop, and may answer what to go on with: the same network at another
width."""


@dataclass(frozen=True)
class Upscaled:
    """The larger picture, and in how many tiles it was made."""

    picture: Picture
    tiles: int
    untouched: bool = False
    """Whether it is the same picture: nothing was run."""


def upscale(
    picture: Picture,
    height: int,
    width: int,
    engine: Engine | None,
    on_tile: OnTile,
    strength: float = 0.0,
) -> Upscaled:
    """Make a picture of exactly height x width pixels; by plain resampling without an engine.

    Neither side may shrink (ValueError). What a network makes is rounded to the picture's own depth
    tile by tile: floats of a whole picture would take four times the memory. `strength` says how
    damaged the picture is, from 0 to 1, to a network that takes it. A picture of that size comes
    back as it is where there is nothing to clean. Grey, by kind or by content, runs as three equal
    channels and comes back as their mean, in as many channels as it had; transparency is
    resampled. What `on_tile` raises passes through.
    """
    cleans = engine is not None and engine.takes_strength and strength > 0
    if (picture.height, picture.width) == (height, width) and not cleans:
        on_tile(1.0)
        return Upscaled(picture, 1, untouched=True)
    if engine is None:
        made, tiles = enlarge(picture.pixels, height, width, on_tile), 1
    else:
        made, tiles = _by_network(picture.pixels, height, width, engine, on_tile, strength)
    return Upscaled(replace(picture, pixels=made), tiles)


def _by_network(
    raster: Raster,
    height: int,
    width: int,
    engine: Engine,
    on_tile: OnTile,
    strength: float,
) -> tuple[Raster, int]:
    tiles = plan_tiles((raster.height, raster.width), (height, width), engine.tiling)
    windows = Windows(raster)
    larger = np.empty((height, width, raster.samples.shape[2]), raster.samples.dtype)
    if raster.has_alpha:
        enlarge_alpha(raster, larger)
    total, done = sum(tile.window_pixels for tile in tiles), 0
    try:
        for tile in tiles:
            while True:
                try:
                    grids = _grids(raster, larger, tile)
                    made = _run_tile(windows, tile, grids, engine, strength)
                    break
                except Interrupted:  # it is made anew, once what it was interrupted for is done
                    engine = on_tile(done / total) or engine
            place = larger[slice(*tile.rows.output), slice(*tile.columns.output), : raster.colours]
            _lay(place, made, windows.tint(tile, height, width) if windows.grey else None)
            del made  # before the next tile, which needs its room
            done += tile.window_pixels
            engine = on_tile(done / total) or engine
    finally:
        if len(tiles) > 1:
            _release(engine.session)
    return Raster(larger), len(tiles)


def _release(session: Session) -> None:
    """Give back what large tiles have left: what is done next has no use for it."""
    if isinstance(session, Releasing):
        session.release()
        trim()


def _grids(raster: Raster, larger: Samples, tile: Tile) -> tuple[AxisGrid, AxisGrid]:
    """Return where the rows and the columns of a tile lie."""
    height, width = larger.shape[:2]
    return (
        axis_grid(raster.height, height, tile.rows.window, tile.rows.made),
        axis_grid(raster.width, width, tile.columns.window, tile.columns.made),
    )


def _run_tile(
    windows: Windows,
    tile: Tile,
    grids: tuple[AxisGrid, AxisGrid],
    engine: Engine,
    strength: float,
) -> FloatArray:
    """Return the output pixels of one tile, [3, rows, columns], of what is grey [1, ...]."""
    made = engine.session.run(windows.shown(tile), *grids, engine.width, strength)[0]
    kept: FloatArray = made[:, _kept(tile.rows), _kept(tile.columns)]
    return kept.mean(axis=0, keepdims=True) if windows.grey else kept


def _kept(span: AxisTile) -> slice:
    """Return what of the pixels made is the span's output."""
    start, stop = span.output
    return slice(start - span.made[0], stop - span.made[0])


def _lay(place: Samples, made: FloatArray, tint: FloatArray | None) -> None:
    """Put the output pixels of a tile into their place [rows, columns, C], grey in each channel."""
    if tint is not None:
        made = np.clip(made, 0, 1) + tint
    for channel, plane in enumerate(made):
        levels = rounded(plane, place.dtype)[:, :, None]
        place[:, :, slice(channel, channel + 1) if len(made) > 1 else slice(None)] = levels
