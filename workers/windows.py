"""The inputs of a network: float planes of a picture's samples, one window at a time."""

from __future__ import annotations

import math

import numpy as np

from images.grey import is_grey
from images.hidden_pixels import HiddenFill, hidden_pixels
from images.picture import FloatArray, Raster
from images.plane_resampling import linear
from scheduling.tiling import Tile, Window

GREY_TOLERANCE = 1.5 / 255
"""A picture counts as grey if its channels differ by at most one level of 8 bits at every pixel:
WebP's integer conversion from luma introduces such differences. They are enlarged by linear
interpolation, so they are no larger in the output."""

REACH = 2
"""Pixels that linear interpolation may read beyond a part of the picture."""


class Windows:
    """The colours of a picture, with those under full transparency filled in."""

    def __init__(self, raster: Raster) -> None:
        hidden = hidden_pixels(raster)
        self._raster = raster
        self._fill = None if hidden is None else HiddenFill(raster, hidden)
        largest = int(np.iinfo(raster.samples.dtype).max)
        self._largest = np.float32(largest)
        tolerance = int(GREY_TOLERANCE * largest)
        self.grey = raster.colours == 1 or is_grey(raster.samples, hidden, tolerance)
        """Whether it is grey, by kind or by content."""

    def shown(self, tile: Tile) -> FloatArray:
        """Return the window of a tile, [1, 3, H, W] in [0, 1]; three equal planes for grey.

        The picture is mirrored beyond its edge. Repeating the outermost pixels instead costs 0.1 dB
        on Set5.
        """
        windows = tile.rows.window, tile.columns.window
        inside = [self._inside(window, axis) for axis, window in enumerate(windows)]
        planes = self.colours(*inside)
        if self.grey:
            planes = np.repeat(planes, 3, axis=0)
        beyond = [
            (cut[0] - window[0], window[1] - cut[1])
            for cut, window in zip(inside, windows, strict=True)
        ]
        return np.pad(planes, ((0, 0), *beyond), mode="symmetric")[None]

    def colours(self, rows: Window, columns: Window) -> FloatArray:
        """Return a part of the picture as it is enlarged, in [0, 1]: [3, H, W], or [1, H, W] if it
        is grey."""
        planes = self._planes(rows, columns)
        return _mean(planes) if self.grey else planes

    def tint(self, tile: Tile, height: int, width: int) -> FloatArray | None:
        """Return the difference of a grey picture's channels from their mean, enlarged to height x
        width pixels, at a tile's output: [3, rows, columns]. None if it is zero."""
        if self._raster.colours == 1:
            return None
        sides = self._raster.height, self._raster.width
        outputs = tile.rows.output, tile.columns.output
        parts = [
            _part(output, side, larger)
            for output, side, larger in zip(outputs, sides, (height, width), strict=True)
        ]
        around = [
            self._inside((math.floor(start) - REACH, math.ceil(stop) + REACH), axis)
            for axis, (start, stop) in enumerate(parts)
        ]
        colour = self._planes(*around)
        tint = colour - _mean(colour)
        if not tint.any():
            return None
        (upper, lower), (left, right) = (
            (start - cut[0], stop - cut[0])
            for (start, stop), cut in zip(parts, around, strict=True)
        )
        size = [stop - start for start, stop in outputs]
        box = left, upper, right, lower
        return np.stack([linear(plane, size[0], size[1], box) for plane in tint])

    def _inside(self, window: Window, axis: int) -> Window:
        """Return the part of a window that lies in the picture."""
        return max(0, window[0]), min(self._raster.samples.shape[axis], window[1])

    def _planes(self, rows: Window, columns: Window) -> FloatArray:
        """Return a part of the picture, [1 or 3, H, W] in [0, 1]."""
        part = self._raster.samples[slice(*rows), slice(*columns), : self._raster.colours]
        levels = part.astype(np.float32)
        if self._fill is not None:
            self._fill.fill(levels, rows[0], columns[0])
        return np.ascontiguousarray(np.moveaxis(levels, 2, 0)) / self._largest


def _part(output: Window, side: int, larger: int) -> tuple[float, float]:
    """Return the range of input pixels under a range of output pixels, along one axis."""
    start, stop = output
    return start * side / larger, stop * side / larger


def _mean(colour: FloatArray) -> FloatArray:
    """Return the mean of the channels, [1, H, W]; exact where they are equal."""
    first = colour[:1]
    mean: FloatArray = first + (colour - first).mean(axis=0, keepdims=True)
    return mean
