"""A picture to a larger picture: plan tiles, run a network on each, round, stitch.

- Without a network the file's own samples are resampled (`images.floor`).
- A picture that keeps its size and has no damage to clean is returned unchanged.
- A picture that is grey, whatever its file says, is run as one plane, and gets no tint.
- Networks see the picture continued beyond its edge (`scheduling.tiling`).
- Where memory runs out in a tile, it and the following ones are halved once.
- Fully transparent pixels take the colours of their neighbours (`workers.windows`). Colours of
  nearly transparent ones do not bleed into others (`workers.visible_colours`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from images.floor import enlarge, enlarge_alpha
from images.malloc import trim
from images.picture import FloatArray, Picture, Raster, Samples, rounded
from models.geometry import AxisGrid, axis_grid
from scheduling.tiling import AxisTile, Size, Tile, Tiling
from workers.runtimes.base import Interrupted, Network, OnDevice, Releasing, Unloading
from workers.tile_queue import TileQueue
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


class OutOfTime(Exception):
    """No network has time left for the picture: it is to be resampled."""


OnTile = Callable[[float], Engine | None]
"""Called with the completed part of the work, from 0 to 1, after each tile, and again when a tile
was interrupted. May raise OutOfTime to have the picture resampled, or another error to stop. May
return an engine to continue with: the same model at another width; None continues with the same
one."""


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

    Raises ValueError if either side would shrink, MemoryError where memory runs out in half a tile
    too, and whatever `on_tile` raises. `strength` is the
    picture's compression damage, from 0 to 1, for networks with that input. A picture that already
    has the size is returned unchanged if there is no damage to clean. One whose network is out of
    time is resampled as a whole. Grey pictures, by kind or by
    content, run as three equal channels; their mean is written to as many channels as the source
    has. Transparency is resampled. The output of a network is rounded to the picture's own depth
    tile by tile, because floats of a whole picture would take four times the memory.
    """
    cleans = engine is not None and engine.takes_strength and strength > 0
    if (picture.height, picture.width) == (height, width) and not cleans:
        on_tile(1.0)
        return Upscaled(picture, 1, untouched=True)
    made = None
    if engine is not None:
        made = _by_network(picture.pixels, (height, width), engine, on_tile, strength)
    if made is None:
        made = enlarge(picture.pixels, height, width, on_tile), 1
    larger, tiles = made
    return Upscaled(replace(picture, pixels=larger), tiles)


def _by_network(
    raster: Raster, size: Size, engine: Engine, on_tile: OnTile, strength: float
) -> tuple[Raster, int] | None:
    """Return the larger picture and the number of its tiles; None, with its memory free, for a
    network that is out of time."""
    try:
        return _NetworkRun(raster, size, engine, on_tile, strength).made()
    except OutOfTime:
        return None


class _NetworkRun:
    """The run of a network over a picture, tile by tile."""

    def __init__(
        self, raster: Raster, size: Size, engine: Engine, on_tile: OnTile, strength: float
    ) -> None:
        self._raster = raster
        self._tiles = TileQueue((raster.height, raster.width), size, engine.tiling)
        self._windows = Windows(raster)
        self._larger = np.empty((*size, raster.samples.shape[2]), raster.samples.dtype)
        if raster.has_alpha:
            enlarge_alpha(raster, self._larger)
        self._visible = VisibleColours(raster, self._windows.colours, self._larger)
        self._network = engine.network
        self._on_tile = on_tile
        self._strength = strength

    def made(self) -> tuple[Raster, int]:
        """Return the larger picture, and the number of tiles that it was made in."""
        try:
            while self._tiles:
                try:
                    self._write(self._run(self._tiles.first), self._tiles.first)
                except Interrupted:  # the tile is run again, after what interrupted it
                    self._advance()
                except MemoryError as error:
                    self._tiles.halve(error)
                    _release(self._network)
                else:
                    self._tiles.drop_first()
                    self._advance()
        finally:
            if self._tiles.count > 1 and not _on_device(self._network):
                _release(self._network)
        return Raster(self._larger), self._tiles.count

    def _run(self, tile: Tile) -> FloatArray:
        """Return the output pixels of one tile, [3, rows, columns], of a grey picture [1, ...]."""
        grids = _grids(self._raster, self._larger, tile)
        made = self._network.run(self._windows.shown(tile), *grids, self._strength)[0]
        own: FloatArray = made[:, _without_halo(tile.rows), _without_halo(tile.columns)]
        return own.mean(axis=0, keepdims=True) if self._windows.grey else own

    def _write(self, made: FloatArray, tile: Tile) -> None:
        """Round the output pixels of a tile into the larger picture."""
        self._visible.correct(made, tile)
        height, width = self._larger.shape[:2]
        tint = self._windows.tint(tile, height, width) if self._windows.grey else None
        rows, columns = slice(*tile.rows.output), slice(*tile.columns.output)
        _write(self._larger[rows, columns, : self._raster.colours], made, tint)

    def _advance(self) -> None:
        """Report progress, and take the network to continue with."""
        following = self._on_tile(self._tiles.done)
        if following is not None and following.network is not self._network:
            _release(self._network)
            self._network = following.network


def _on_device(network: Network) -> bool:
    """Return whether a network keeps memory of a GPU, which encoding does not need."""
    return isinstance(network, OnDevice) and network.free_bytes() is not None


def _release(network: Network) -> None:
    """Free the memory that large tiles have left, which encoding or the next network needs."""
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
