"""Reference implementation: a whole picture is enlarged in planes of floats and rounded at the end.

Strips, tiles and windows of integers are compared with it. Workers do not use it, because it takes
several times the memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from images.picture import FloatArray, Raster, Samples
from images.plane_resampling import lanczos, linear
from models.geometry import axis_grid
from workers.upscale import Engine

Plane = NDArray[np.float64]


def apart(one: Samples, other: Samples) -> int:
    """Return the largest difference in levels of two pictures [H, W, C] as they are seen: of
    colours times alpha, and of alpha. Colours under next to no alpha are quotients of noise."""
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    largest = np.iinfo(one.dtype).max
    seen = []
    for samples in (one, other):
        levels = samples.astype(np.float64)
        if levels.shape[2] in (2, 4):
            levels[:, :, :-1] *= levels[:, :, -1:] / largest
        seen.append(levels)
    return math.ceil(float(np.abs(seen[0] - seen[1]).max()) - 1e-6)


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
    """Return the larger samples by Pillow's Lanczos on floats, weighted by alpha."""
    colour, alpha = _planes(raster)
    _, weighted = _means(colour, alpha, raster, (height, width))
    return _rounded(weighted, alpha, raster, (height, width))


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
    made = made.mean(axis=0, keepdims=True) if grey else made
    plain, weighted = _means(shown, alpha, raster, (height, width))
    if alpha is not None and plain is not weighted:
        far = linear(disagreement(shown, alpha), height, width, (0, 0, columns, rows))
        seen = larger_alpha(alpha, (height, width)) * np.iinfo(raster.samples.dtype).max >= 0.5
        made = made + (weighted - made) * np.clip(far * (255 / 16), 0, 1) * seen
    if grey:
        made = np.clip(made, 0, 1)
        box = 0, 0, columns, rows
        made = made + np.stack([linear(plane, height, width, box) for plane in colour - shown])
    return _rounded(made, alpha, raster, (height, width))


def _means(
    colour: FloatArray, alpha: FloatArray | None, raster: Raster, size: tuple[int, int]
) -> tuple[Plane, Plane]:
    """Return the larger colours without weights, and weighted by alpha where it is seen. They are
    equal where all visible pixels have one alpha."""
    plain = np.stack([_larger(plane, size) for plane in colour])
    if alpha is None or len(np.unique(alpha[alpha > 0])) < 2:
        return plain, plain
    largest = np.iinfo(raster.samples.dtype).max
    final = np.rint(larger_alpha(alpha, size) * largest) / largest
    weight = np.maximum(_larger(alpha, size), final / 2)
    sums = np.stack([_larger(plane * alpha, size) for plane in colour])
    means = np.where(final > 0, sums / np.where(final > 0, weight, 1), plain)
    return plain, np.clip(means, 0, 1)


def disagreement(colour: FloatArray, alpha: FloatArray) -> FloatArray:
    """Return by how much alpha changes means of colours over 7 x 7 pixels, the most of channels."""

    def means(plane: FloatArray, weight: FloatArray) -> Plane:
        beyond = [np.pad(p.astype(np.float64), 3) for p in (plane * weight, weight)]
        sums = [sliding_window_view(p, (7, 7)).sum(axis=(2, 3)) for p in beyond]
        return np.where(sums[1] > 0, sums[0] / np.where(sums[1] > 0, sums[1], 1), np.nan)

    whole = np.ones_like(alpha)
    apart = [means(plane, alpha) - means(plane, whole) for plane in colour]
    largest: FloatArray = np.nan_to_num(np.abs(np.stack(apart)).max(axis=0)).astype(np.float32)
    return largest


def larger_alpha(alpha: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return alpha [H, W] by Lanczos, within the range of the four pixels around each."""
    at = [
        np.floor((np.arange(larger) + 0.5) * (side / larger) - 0.5).astype(int)
        for side, larger in zip(alpha.shape, size, strict=True)
    ]
    around = [
        alpha[np.ix_(*(np.clip(axis + step, 0, side - 1) for axis, step, side in corner))]
        for corner in (
            [(at[0], down, alpha.shape[0]), (at[1], across, alpha.shape[1])]
            for down in (0, 1)
            for across in (0, 1)
        )
    ]
    limited: FloatArray = np.clip(lanczos(alpha, *size), np.min(around, 0), np.max(around, 0))
    return limited


def _larger(plane: FloatArray, size: tuple[int, int]) -> Plane:
    """Return a plane by Pillow's Lanczos, not clamped."""
    if plane.shape == size:
        return plane.astype(np.float64)
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.LANCZOS), np.float64)


def _planes(raster: Raster) -> tuple[FloatArray, FloatArray | None]:
    colour, alpha = raster.colour, raster.alpha
    return (colour if alpha is None else filled(colour, alpha)), alpha


def _rounded(
    colour: FloatArray | Plane, alpha: FloatArray | None, source: Raster, size: tuple[int, int]
) -> Samples:
    planes = [*colour, *([] if alpha is None else [larger_alpha(alpha, size)])]
    kind = source.samples.dtype
    levels = np.clip(np.stack(planes, axis=2), 0, 1) * np.iinfo(kind).max
    rounded: Samples = np.rint(levels).astype(kind)
    return rounded
