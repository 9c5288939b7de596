"""Features of a picture that predict the quality of enlarging it (`models.expectation`).

They are measured on square windows spread over the picture, so a large picture takes no longer
than one of 65,000 pixels, about a millisecond. A window's discrete cosine transform gives its
energy by spatial frequency; its decay indicates how much detail lies beyond the resolution.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from images.picture import Features, FloatArray, Samples

SIDE = 32
"""Side of a window in pixels."""
MAX_WINDOWS = 64
KEPT_SIZES = 16
"""Sizes of pictures whose windows are kept: each takes up to 20 kB, and 0.1 ms to compute."""
BLOCK = 8
"""Side of a JPEG block in pixels."""

BAND_EDGES = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
"""Bounds on the larger of a coefficient's two indices; the mean, at 0, is in no band."""
BANDS = len(BAND_EDGES) - 1

LUMA = np.array((65.738, 129.057, 25.064), np.float32) / 256
"""ITU-R BT.601 weights, from levels of 8 bits to 219 steps, as in PSNR-Y."""

SQUARE_FLOOR = 0.003
"""Added to mean squares before the logarithm; below the error of rounding to 8 bits."""
STEP_FLOOR = 0.05
DETAIL_FLOOR = 0.01

Corners = NDArray[np.intp]
Mask = NDArray[np.bool_]


class _Windows(NamedTuple):
    """The windows of pictures of one size."""

    places: tuple[tuple[slice, slice], ...]
    """Rows and columns of each."""
    at_blocks: Mask
    """Whether a step to the next column leads from block to block, [n, SIDE - 1]."""
    within_blocks: Mask


def measured(samples: Samples) -> Features:
    """Return the features of samples [H, W, C] of any size, depth and kind. Transparent pixels
    count as black."""
    samples = _at_least(samples, SIDE)
    windows = _windows(*samples.shape[:2])
    luma = _luma(np.array([samples[place] for place in windows.places]))
    return Features(_bands(luma), _blockiness(luma, windows), _sparsity(luma))


def _at_least(samples: Samples, side: int) -> Samples:
    """Return samples with sides of at least `side` pixels; small pictures are mirrored."""
    height, width = samples.shape[:2]
    if min(height, width) >= side:
        return samples
    missing = (0, max(0, side - height)), (0, max(0, side - width)), (0, 0)
    return np.pad(samples, missing, mode="symmetric")


@lru_cache(KEPT_SIZES)
def _windows(height: int, width: int) -> _Windows:
    """Return the windows of a picture, which the next one of its size shares: not to be changed."""
    corners = _corners(height, width)
    places = tuple((slice(y, y + SIDE), slice(x, x + SIDE)) for y, x in corners.tolist())
    at_blocks = (corners[:, 1:] + np.arange(1, SIDE)) % BLOCK == 0
    return _Windows(places, at_blocks, ~at_blocks)


def _corners(height: int, width: int) -> Corners:
    """Return the upper left corners [n, 2] of windows that cover a picture, or that are evenly
    spread over a large one."""
    rows, columns = -(-height // SIDE), -(-width // SIDE)
    if rows * columns > MAX_WINDOWS:
        shrink = math.sqrt(MAX_WINDOWS / (rows * columns))
        rows = min(max(1, int(rows * shrink)), MAX_WINDOWS)
        columns = min(columns, MAX_WINDOWS // rows)
    down, across = _spread(height, rows), _spread(width, columns)
    return np.stack(np.meshgrid(down, across, indexing="ij"), axis=-1).reshape(-1, 2)


def _spread(size: int, count: int) -> Corners:
    if count == 1:
        return np.array([(size - SIDE) // 2])
    return np.linspace(0, size - SIDE, count).astype(np.intp)


def _luma(windows: NDArray[np.unsignedinteger[Any]]) -> FloatArray:
    """Return the luma [n, SIDE, SIDE] of samples [n, SIDE, SIDE, C] of 8 or 16 bits."""
    channels = windows.shape[-1]
    levels = windows.astype(np.float32)
    largest = np.float32(np.iinfo(windows.dtype).max)
    weights = LUMA if channels >= 3 else LUMA.sum(keepdims=True)
    luma: FloatArray = levels[..., : len(weights)] @ (weights * (255 / largest))
    return luma * (levels[..., -1] / largest) if channels in (2, 4) else luma


def _bands(luma: FloatArray) -> tuple[float, ...]:
    cosines, bands = _transform(), _band_masks()
    coefficients = cosines @ (luma.reshape(-1, SIDE) @ cosines.T).reshape(luma.shape)
    squares = np.add.reduce(np.square(coefficients), axis=0, dtype=np.float64)
    energies = bands @ squares.ravel() / (len(luma) * SIDE**2)
    return tuple(np.log10(energies + SQUARE_FLOOR).tolist())


@lru_cache(1)
def _transform() -> FloatArray:
    """Return the orthonormal discrete cosine transform, [SIDE, SIDE]."""
    index = np.arange(SIDE)
    cosines = np.cos(np.pi * (index + 0.5) * index[:, None] / SIDE) * math.sqrt(2 / SIDE)
    cosines[0] /= math.sqrt(2)
    return cosines.astype(np.float32)


@lru_cache(1)
def _band_masks() -> NDArray[np.float64]:
    """Return the masks of the bands, [bands, SIDE * SIDE]."""
    index = np.maximum.outer(np.arange(SIDE), np.arange(SIDE)).ravel()
    edges = pairwise(BAND_EDGES)
    return np.array([(index >= low) & (index < high) for low, high in edges], np.float64)


def _blockiness(luma: FloatArray, windows: _Windows) -> float:
    steps = np.add.reduce(np.abs(luma[:, :, 1:] - luma[:, :, :-1]), axis=1)
    between, within = _mean(steps[windows.at_blocks]), _mean(steps[windows.within_blocks])
    return math.log((between / SIDE + STEP_FLOOR) / (within / SIDE + STEP_FLOOR))


def _sparsity(luma: FloatArray) -> float:
    inner = luma[:, 1:-1, 1:-1]
    details = 4 * inner - luma[:, :-2, 1:-1] - luma[:, 2:, 1:-1]
    details -= luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    magnitude, square = _mean(np.abs(details)), _mean(np.square(details))
    return math.log10((magnitude**2 + DETAIL_FLOOR) / (square + DETAIL_FLOOR))


def _mean(values: FloatArray) -> float:
    """Return the mean: `numpy.mean` is Python code, which takes as long as the sum."""
    return float(np.add.reduce(values, axis=None)) / values.size
