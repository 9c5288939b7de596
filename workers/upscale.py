"""A picture to a larger picture: fill what is hidden, plan tiles, run, stitch, clamp.

- Without a network the file's own samples are resampled (`workers.floor`).

- A picture that is to keep its size, and to be cleaned of nothing, is left as it is.
- A picture that is grey, whatever its file says, is run as one plane, and gets no tint.
- A network is shown the picture as if it went on beyond its rim (`scheduling.tiling`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from models.geometry import axis_grid
from scheduling.tiling import (
    DEFAULT_TILE_OUTPUT_PIXELS,
    DEFAULT_TILE_PIXELS,
    Span,
    Tile,
    Tiling,
    plan_tiles,
)
from workers.floor import enlarge
from workers.hidden import fill_hidden
from workers.picture import FloatArray, Picture, Planes, Raster
from workers.resampling import lanczos, linear
from workers.runtimes.base import Interrupted, Session

GREY_TOLERANCE = 1.5 / 255
"""A picture counts as grey where its channels differ by no more than one level of 8 bits at any
pixel: the integers by which WebP turns luma back into colour do that to some greys. What they do
differ by is enlarged by linear interpolation, so they differ by no more in the larger picture."""

GREY_ROWS = 64
"""Rows that are compared at a time: most pictures show a colour in the first of them."""


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

    Neither side may shrink (ValueError). Networks make planes, resampling makes samples of the
    picture's own depth. `strength` says how damaged the picture is, from 0 to 1,
    to a network that takes it. A picture of that size comes back as it is where there is nothing
    to clean. Grey, by kind or by content, runs as three equal channels and comes back as their
    mean, in as many channels as it had; transparency is resampled. What `on_tile` raises passes
    through.
    """
    cleans = engine is not None and engine.takes_strength and strength > 0
    if (picture.height, picture.width) == (height, width) and not cleans:
        on_tile(1.0)
        return Upscaled(picture, 1, untouched=True)
    if engine is None:
        raster = Raster(picture.pixels.integers(picture.bit_depth))
        return Upscaled(replace(picture, pixels=enlarge(raster, height, width, on_tile)), 1)
    colour, alpha = picture.colour, picture.alpha
    if alpha is not None:
        colour = fill_hidden(colour, alpha)
        alpha = lanczos(alpha, height, width)
    shown = _mean(colour) if _is_grey(colour) else colour
    larger, tiles = _by_network(shown, height, width, engine, on_tile, strength)
    if len(shown) < len(colour):
        larger = _tinted(larger, colour - shown)
    return Upscaled(replace(picture, pixels=Planes(larger, alpha)), tiles)


def _is_grey(colour: FloatArray) -> bool:
    """Return whether the channels say the same at every pixel; see GREY_TOLERANCE."""
    for start in range(0, colour.shape[1], GREY_ROWS):
        rows = colour[:, start : start + GREY_ROWS]
        if (rows.max(axis=0) - rows.min(axis=0)).max() > GREY_TOLERANCE:
            return False
    return True


def _mean(colour: FloatArray) -> FloatArray:
    """Return the mean of the channels, [1, H, W]; of equal ones exactly what each of them is."""
    first = colour[:1]
    mean: FloatArray = first + (colour - first).mean(axis=0, keepdims=True)
    return mean


def _tinted(grey: FloatArray, tint: FloatArray) -> FloatArray:
    """Return a grey plane [1, Y, X] in the channels of a tint [C, H, W], exactly equal ones where
    there is none."""
    size = grey.shape[1:]
    if not tint.any():
        return np.broadcast_to(grey, (len(tint), *size))
    channels: FloatArray = np.clip(grey + np.stack([linear(plane, *size) for plane in tint]), 0, 1)
    return channels


def _by_network(
    colour: FloatArray,
    height: int,
    width: int,
    engine: Engine,
    on_tile: OnTile,
    strength: float,
) -> tuple[FloatArray, int]:
    size, output_size = colour.shape[1:], (height, width)
    tiles = plan_tiles((size[0], size[1]), output_size, engine.tiling)
    larger = np.empty((len(colour), height, width), np.float32)
    total, done = sum(tile.window_pixels for tile in tiles), 0
    for tile in tiles:
        rows, columns = slice(*tile.rows.output), slice(*tile.columns.output)
        while True:
            try:
                larger[:, rows, columns] = _run_tile(colour, output_size, tile, engine, strength)
                break
            except Interrupted:  # it is made anew, once what it was interrupted for is done
                engine = on_tile(done / total) or engine
        done += tile.window_pixels
        engine = on_tile(done / total) or engine
    return larger, len(tiles)


def _run_tile(
    colour: FloatArray,
    output_size: tuple[int, int],
    tile: Tile,
    engine: Engine,
    strength: float,
) -> FloatArray:
    """Return the output pixels of one tile, [C, rows, columns], clamped to [0, 1]."""
    channels, height, width = colour.shape
    rows = axis_grid(height, output_size[0], tile.rows.window, tile.rows.made)
    columns = axis_grid(width, output_size[1], tile.columns.window, tile.columns.made)
    image = np.repeat(_cut_out(colour, tile), 3 // channels, axis=0)[None]
    made = engine.session.run(image, rows, columns, engine.width, strength)[0]
    made = made[:, _kept(tile.rows), _kept(tile.columns)]
    if channels == 1:
        made = made.mean(axis=0, keepdims=True)
    clamped: FloatArray = np.clip(made, 0, 1)
    return clamped


def _kept(span: Span) -> slice:
    """Return what of the pixels made is the span's output."""
    start, stop = span.output
    return slice(start - span.made[0], stop - span.made[0])


def _cut_out(colour: FloatArray, tile: Tile) -> FloatArray:
    """Return the window of a tile, cut out of a picture [C, H, W] and continued beyond it by its
    mirror image. With its outermost pixels repeated instead, Set5 loses 0.1 dB."""
    windows = tile.rows.window, tile.columns.window
    inside = tuple(slice(max(0, start), stop) for start, stop in windows)
    beyond = [
        (max(0, -start), max(0, stop - size))
        for (start, stop), size in zip(windows, colour.shape[1:], strict=True)
    ]
    return np.pad(colour[:, *inside], ((0, 0), *beyond), mode="symmetric")
