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
    (`images.hidden_pixels`), plain interpolation leaves no rim."""
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


def premultiplied(levels: FloatArray, largest: int) -> FloatArray:
    """Return levels [..., C] whose colours are multiplied by alpha, the last channel, which is in
    [0, 1] in the result."""
    weighted = levels * (levels[..., -1:] / np.float32(largest))
    np.divide(levels[..., -1], np.float32(largest), out=weighted[..., -1])
    return weighted


def unpremultiplied(samples: Samples) -> Samples:
    """Return samples [H, W, C] with alpha whose colours are multiplied by it with plain ones."""
    largest = np.iinfo(samples.dtype).max
    plain = np.array(samples)
    for rows in strips(*samples.shape[:2]):
        alpha = samples[rows, :, -1:].astype(np.float32)
        colours = samples[rows, :, :-1] * (largest / np.maximum(alpha, 1))
        plain[rows, :, :-1] = np.rint(np.minimum(colours, largest))
    return plain


def divided(products: FloatArray, weight: FloatArray, alpha: FloatArray) -> FloatArray:
    """Return interpolated products divided by their interpolated weight, for pixels of a final
    alpha; the three can be broadcast.

    Where Lanczos undershoots, so that the weight is below half of alpha, half of alpha is the
    divisor: a quotient by almost nothing could be any colour. Colours of hidden pixels are
    arbitrary.
    """
    divisor = np.maximum(weight, alpha / 2)
    made: FloatArray = np.divide(products, divisor, out=np.zeros_like(products), where=divisor > 0)
    return made


def keep_within_neighbours(alpha: Samples, enlarged: Samples) -> None:
    """Limit enlarged alpha [Y, X], in place, to the range of the four pixels of alpha [H, W] around
    each."""
    height, width = enlarged.shape
    down, across = _before(alpha.shape[0], height), _before(alpha.shape[1], width)
    for rows in strips(height, width):
        above = down[rows]
        first, last = max(0, int(above[0])), int(above[-1]) + 2
        part = alpha[first:last]
        if is_even(part):
            enlarged[rows] = part[0, 0]
            continue
        place = enlarged[rows]
        for extreme in (np.minimum, np.maximum):
            found = _pairs(_pairs(part, extreme).T, extreme).T
            bound = found[above + 1 - first].take(across + 1, axis=1)
            (np.maximum if extreme is np.minimum else np.minimum)(place, bound, out=place)


def _before(side: int, larger: int) -> NDArray[np.intp]:
    """Return the pixel before the centre of each output pixel, along one axis; -1 before the first
    one."""
    before: NDArray[np.intp] = ((2 * np.arange(larger) + 1) * side - larger) // (2 * larger)
    return before


def _pairs(samples: Samples, extreme: np.ufunc) -> Samples:
    """Return the extremes of neighbouring rows [H + 1, W]: of the first one alone, of the first
    two, and so on, up to the last one alone."""
    pairs = np.empty((samples.shape[0] + 1, samples.shape[1]), samples.dtype)
    extreme(samples[:-1], samples[1:], out=pairs[1:-1])
    pairs[0], pairs[-1] = samples[0], samples[-1]
    return pairs
