"""Interpolation of alpha, and of colours weighted by it.

Blending is linear in colour times alpha, so this product is what is interpolated, and divided by
the interpolated alpha afterwards (Porter and Duff, "Compositing Digital Images", 1984). Plain means
let the colour of nearly transparent pixels bleed into opaque neighbours: a shadow or a glow would
leave a rim. Lanczos overshoots beside edges, of alpha as well, where that would show as a ring; so
alpha is kept within the range of its neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from images.picture import FloatArray, Raster, Samples, strips


def needs_weights(raster: Raster) -> bool:
    """Return whether visible pixels have different alpha. With one alpha, and hidden colours filled
    (`images.transparency`), plain interpolation leaves no rim."""
    if not raster.has_alpha:
        return False
    seen: set[int] = set()
    for rows in strips(raster.height, raster.width):
        alpha = raster.samples[rows, :, -1]
        alpha = alpha[alpha > 0]
        if alpha.size:
            seen |= {int(alpha.min()), int(alpha.max())}
        if len(seen) > 1:
            return True
    return False


def is_even(alpha: Samples | FloatArray) -> bool:
    """Return whether all pixels have the same alpha, so that weights change nothing."""
    return bool(alpha.min() == alpha.max())


def times_alpha(levels: FloatArray, largest: int) -> FloatArray:
    """Return levels [..., C] whose colours are multiplied by alpha, the last channel, which is in
    [0, 1] in the result."""
    weighted = levels * (levels[..., -1:] / np.float32(largest))
    np.divide(levels[..., -1], np.float32(largest), out=weighted[..., -1])
    return weighted


def divided(products: FloatArray, weight: FloatArray, alpha: FloatArray) -> FloatArray:
    """Return interpolated products divided by their interpolated weight, for pixels of a final
    alpha; the three can be broadcast.

    Where the weight falls below half of alpha, half of alpha divides instead: Lanczos overshoots
    there by more than is seen. Colours of hidden pixels are arbitrary.
    """
    divisor = np.maximum(weight, alpha / 2)
    made: FloatArray = np.divide(products, divisor, out=np.zeros_like(products), where=divisor > 0)
    return made


def keep_within_neighbours(alpha: Samples, enlarged: Samples) -> None:
    """Limit enlarged alpha [Y, X], in place, to the range of the four pixels of alpha [H, W] around
    each."""
    height, width = enlarged.shape
    (above, below), (left, right) = _around(alpha.shape[0], height), _around(alpha.shape[1], width)
    for rows in strips(height, width):
        upper, lower = alpha[above[rows]], alpha[below[rows]]
        least, most = np.minimum(upper, lower), np.maximum(upper, lower)
        least = np.minimum(least[:, left], least[:, right])
        most = np.maximum(most[:, left], most[:, right])
        np.clip(enlarged[rows], least, most, out=enlarged[rows])


def _around(side: int, larger: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the pixels before and behind the centre of each output pixel, along one axis."""
    before = ((2 * np.arange(larger) + 1) * side - larger) // (2 * larger)
    return np.clip(before, 0, side - 1), np.clip(before + 1, 0, side - 1)
