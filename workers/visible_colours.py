"""Colours of a network's output as they are seen through its transparency.

A network sees colours without alpha. So it lets the colour of nearly transparent pixels bleed into
opaque neighbours, and shadows and glows would leave rims. Two local means of the source tell where:
one is weighted by alpha, one is not. Where they agree, the network's colours stay. Where they
differ, colours that are interpolated by Lanczos, weighted by alpha, take their place.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from images.alpha_weighting import divided, is_even, needs_weights
from images.picture import FloatArray, Raster, Samples, strips
from images.plane_resampling import interpolated
from scheduling.tiling import Tile, Window

FADE = np.float32(16 / 255)
"""The difference between both means at which nothing of the network's colours is left."""
AROUND = 3
"""Source pixels on each side that the means are taken over: further away a network bleeds little.
"""
REACH = 4 + AROUND
"""Pixels that are read beyond a part of the picture: Lanczos' support of 3, a fraction, and the
means."""

Planes = Callable[[Window, Window], FloatArray]
"""Returns the colours [C, rows, columns] of a part of the picture, hidden ones filled in."""


class VisibleColours:
    """Corrects the colours of tiles of a picture whose larger samples [Y, X, C] have their alpha.
    `planes` are of as many channels as the tiles."""

    def __init__(self, raster: Raster, planes: Planes, larger: Samples) -> None:
        self._raster = raster
        self._planes = planes
        self._larger = larger
        self._needed = needs_weights(raster)

    def correct(self, made: FloatArray, tile: Tile) -> None:
        """Correct the output [C, rows, columns] of a tile in place; some rows at a time."""
        if not self._needed:
            return
        (top, _), columns = tile.rows.output, tile.columns.output
        for rows in strips(*made.shape[1:]):
            part = made[:, rows]
            self._correct(part, (top + rows.start, top + rows.start + part.shape[1]), columns)

    def _correct(self, made: FloatArray, rows: Window, columns: Window) -> None:
        upper, lower, down = _span(rows, self._raster.height, self._larger.shape[0])
        left, right, across = _span(columns, self._raster.width, self._larger.shape[1])
        source = self._raster.cut(slice(*down)).alpha
        assert source is not None
        source = source[:, slice(*across)]
        if is_even(source):
            return

        def enlarged(plane: FloatArray, kernel: Image.Resampling) -> FloatArray:
            box, (height, width) = (left, upper, right, lower), made.shape[1:]
            return interpolated(plane, height, width, box, kernel)

        colours = self._planes(down, across)
        lanczos = Image.Resampling.LANCZOS
        products = np.stack([enlarged(plane * source, lanczos) for plane in colours])
        alpha = Raster(self._larger[slice(*rows), slice(*columns)]).alpha
        assert alpha is not None
        weighted = np.clip(divided(products, enlarged(source, lanczos), alpha), 0, 1)
        apart = enlarged(_disagreement(colours, source), Image.Resampling.BILINEAR)
        instead = np.clip(apart / FADE, 0, 1) * (alpha > 0)
        made += (weighted - made) * instead


def _disagreement(colours: FloatArray, alpha: FloatArray) -> FloatArray:
    """Return how far means of colours [C, H, W] over the pixels around each change when they are
    weighted by alpha [H, W]: the most of all channels, [H, W]."""
    weight, count = _sums(alpha), _sums(np.ones_like(alpha))
    most = np.zeros_like(alpha)
    for plane in colours:
        plain = _sums(plane) / count
        weighted = np.divide(_sums(plane * alpha), weight, out=plain.copy(), where=weight > 0)
        np.maximum(most, np.abs(weighted - plain), out=most)
    return most


def _sums(plane: FloatArray) -> FloatArray:
    """Return the sums of a plane [H, W] over the square around each pixel, where it lies inside."""
    for axis in (0, 1):
        before = [(AROUND, AROUND) if axis == side else (0, 0) for side in (0, 1)]
        padded, size = np.pad(plane, before), plane.shape[axis]
        windows = (padded.take(range(at, at + size), axis) for at in range(2 * AROUND + 1))
        plane = np.add.reduce(list(windows))
    return plane


def _span(output: Window, side: int, larger: int) -> tuple[float, float, Window]:
    """Return start and end of a range of output pixels in the input, along one axis, relative to
    the input pixels that are read for it, and these."""
    start, stop = output[0] * side / larger, output[1] * side / larger
    first, last = max(0, math.floor(start) - REACH), min(side, math.ceil(stop) + REACH)
    return start - first, min(stop, last) - first, (first, last)
