"""A picture to a larger picture: plan tiles, run a network on each, round, stitch.

- Without a network the file's own samples are resampled (`images.floor`).
- A picture that keeps its size and has no damage to clean is returned unchanged.
- A picture that is grey, whatever its file says, is run as one plane, and gets no tint.
- Networks see the picture continued beyond its edge (`scheduling.tiling`).
- Colours hidden by transparency are filled from their neighbours (`workers.windows`), and those
  that are nearly so do not bleed into others (`workers.visible_colours`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from images.floor import enlarge, enlarge_alpha
from images.picture import FloatArray, Picture, Raster, Samples, rounded
from models.geometry import AxisGrid, axis_grid
from scheduling.tiling import AxisTile, Tile, Tiling, plan_tiles
from workers.allocator import trim
from workers.runtimes.base import Interrupted, Network, Releasing, Unloading
from workers.visible_colours import VisibleColours
from workers.windows import Windows


class TileBytes(NamedTuple):
    """Working memory of a tile."""

    per_input: int
    """Of each input pixel that the network sees at once."""
    per_output: int
    """Of each output pixel."""
    per_window: int = 0
    """Of each input pixel of the tile, whatever the network sees of it at once."""


USUAL_BYTES = TileBytes(1600, 24)
"""Of a network of 64 channels."""


@dataclass(frozen=True)
class Engine:
    """A network, and how pictures are cut for it."""

    network: Network
    tiling: Tiling = field(default_factory=Tiling)
    takes_strength: bool = False
    """Whether the network has an input for the picture's damage, and so can clean it."""
    pixel_bytes: TileBytes = USUAL_BYTES

    def load(self) -> bool:
        """Load the network, and return whether it was not in memory."""
        if not isinstance(self.network, Unloading) or self.network.loaded:
            return False
        self.network.load()
        return True


OnTile = Callable[[float], Engine | None]
"""Called with the completed part of the work, from 0 to 1, after each tile, and again when a tile
was interrupted. May raise to stop. May return an engine to continue with: the same model at another
width; None continues with the same one."""


@dataclass(frozen=True)
class Upscaled:
    """The larger picture, and the number of tiles that it was made in."""

    picture: Picture
    tiles: int
    untouched: bool = False
    """Whether it is the source unchanged: nothing was run."""


def upscale(
    picture: Picture,
    height: int,
    width: int,
    engine: Engine | None,
    on_tile: OnTile,
    strength: float = 0.0,
) -> Upscaled:
    """Make a picture of exactly height x width pixels; by plain resampling without an engine.

    Raises ValueError if either side would shrink, and whatever `on_tile` raises. `strength` is the
    picture's compression damage, from 0 to 1, for networks with that input. A picture that already
    has the size is returned unchanged if there is no damage to clean. Grey pictures, by kind or by
    content, run as three equal channels; their mean is written to as many channels as the source
    has. Transparency is resampled. The output of a network is rounded to the picture's own depth
    tile by tile, because floats of a whole picture would take four times the memory.
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
    visible = VisibleColours(raster, windows.colours, larger)
    total, done = sum(tile.window_pixels for tile in tiles), 0
    network = engine.network

    def advance() -> Network:
        """Report progress, and return the network to continue with."""
        following = on_tile(done / total)
        if following is None or following.network is network:
            return network
        _release(network)
        return following.network

    try:
        for tile in tiles:
            grids = _grids(raster, larger, tile)
            while True:
                try:
                    made = _run_tile(windows, tile, grids, network, strength)
                    break
                except Interrupted:  # the tile is run again, after what interrupted it
                    network = advance()
            visible.correct(made, tile)
            place = larger[slice(*tile.rows.output), slice(*tile.columns.output), : raster.colours]
            _write(place, made, windows.tint(tile, height, width) if windows.grey else None)
            del made  # before the next tile, which needs the memory
            done += tile.window_pixels
            network = advance()
    finally:
        if len(tiles) > 1:
            _release(network)
    return Raster(larger), len(tiles)


def _release(network: Network) -> None:
    """Free the memory that large tiles have left, which encoding needs."""
    if isinstance(network, Releasing):
        network.release()
        trim()


def _grids(raster: Raster, larger: Samples, tile: Tile) -> tuple[AxisGrid, AxisGrid]:
    """Return the positions of a tile's output rows and columns."""
    height, width = larger.shape[:2]
    return (
        axis_grid(raster.height, height, tile.rows.window, tile.rows.made),
        axis_grid(raster.width, width, tile.columns.window, tile.columns.made),
    )


def _run_tile(
    windows: Windows,
    tile: Tile,
    grids: tuple[AxisGrid, AxisGrid],
    network: Network,
    strength: float,
) -> FloatArray:
    """Return the output pixels of one tile, [3, rows, columns], of a grey picture [1, ...]."""
    made = network.run(windows.shown(tile), *grids, strength)[0]
    own: FloatArray = made[:, _without_halo(tile.rows), _without_halo(tile.columns)]
    return own.mean(axis=0, keepdims=True) if windows.grey else own


def _without_halo(span: AxisTile) -> slice:
    """Return which of the pixels made are the span's own output."""
    start, stop = span.output
    return slice(start - span.made[0], stop - span.made[0])


def _write(place: Samples, made: FloatArray, tint: FloatArray | None) -> None:
    """Round the output pixels of a tile into place [rows, columns, C]; grey into each channel."""
    if tint is not None:
        made = np.clip(made, 0, 1) + tint
    for channel, plane in enumerate(made):
        levels = rounded(plane, place.dtype)[:, :, None]
        place[:, :, slice(channel, channel + 1) if len(made) > 1 else slice(None)] = levels
