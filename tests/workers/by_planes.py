"""Reference implementation: a whole picture is enlarged in planes of floats and rounded at the end.

Strips, tiles and windows of integers are compared with it. Workers do not use it, because it takes
several times the memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from images.picture import FloatArray, Raster, Samples
from images.plane_resampling import lanczos, linear
from models.geometry import axis_grid
from workers.upscale import Engine


def filled(colour: FloatArray, alpha: FloatArray) -> FloatArray:
    """Return colours [C, H, W], those of transparent pixels as the mean, weighted by alpha [H, W],
    over the smallest block of 2, 4, 8 ... pixels that shows anything."""
    made, known, side = colour.copy(), alpha > 0, 2
    while known.any() and not known.all():
        weight = _block_sums(alpha, side)
        fresh = ~known & (weight > 0)
        for plane, own in zip(made, colour, strict=True):
            plane[fresh] = _block_sums(own * alpha, side)[fresh] / weight[fresh]
        known, side = known | fresh, 2 * side
    return made


def _block_sums(plane: FloatArray, side: int) -> NDArray[np.float64]:
    """Return, at each pixel, the sum over its block of side x side pixels."""
    sums = plane.astype(np.float64)
    for axis, size in enumerate(plane.shape):
        sums = np.add.reduceat(sums, np.arange(0, size, side), axis)
        sums = sums.repeat(side, axis).take(np.arange(size), axis)
    return sums


def resampled(raster: Raster, height: int, width: int) -> Samples:
    """Return the larger samples by Pillow's Lanczos on floats."""
    colour, alpha = _planes(raster)
    larger = np.stack([lanczos(plane, height, width) for plane in colour])
    return _rounded(larger, alpha, raster, (height, width))


def made_whole(raster: Raster, height: int, width: int, engine: Engine) -> Samples:
    """Return the larger samples by a network that sees the whole picture at once."""
    colour, alpha = _planes(raster)
    grey = bool(np.ptp(colour, axis=0).max() <= 1.5 / 255)
    shown = colour[:1] + (colour - colour[:1]).mean(axis=0, keepdims=True) if grey else colour
    rim, (rows, columns) = engine.tiling.rim, colour.shape[1:]
    beyond = np.pad(shown, ((0, 0), (rim, rim), (rim, rim)), mode="symmetric")
    down = axis_grid(rows, height, (-rim, rows + rim), (0, height))
    across = axis_grid(columns, width, (-rim, columns + rim), (0, width))
    image = np.repeat(beyond, 3 // len(beyond), axis=0)[None]
    made = engine.network.run(image, down, across)[0]
    if grey:
        made = np.clip(made.mean(axis=0, keepdims=True), 0, 1)
        box = 0, 0, columns, rows
        made = made + np.stack([linear(plane, height, width, box) for plane in colour - shown])
    return _rounded(made, alpha, raster, (height, width))


def _planes(raster: Raster) -> tuple[FloatArray, FloatArray | None]:
    colour, alpha = raster.colour, raster.alpha
    return (colour if alpha is None else filled(colour, alpha)), alpha


def _rounded(
    colour: FloatArray, alpha: FloatArray | None, source: Raster, size: tuple[int, int]
) -> Samples:
    planes = [*colour, *([] if alpha is None else [lanczos(alpha, *size)])]
    kind = source.samples.dtype
    levels = np.clip(np.stack(planes, axis=2), 0, 1) * np.iinfo(kind).max
    rounded: Samples = np.rint(levels).astype(kind)
    return rounded
