"""Colours that full transparency hides: they are arbitrary, and would bleed into the visible edge
when a picture is made larger, so they are first replaced by those of their visible neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.picture import FloatArray, Raster, strips

Mask = NDArray[np.bool_]


def fill_hidden(colour: FloatArray, alpha: FloatArray) -> FloatArray:
    """Give fully transparent pixels the colour of their visible neighbours.

    colour [C, H, W], alpha [H, W] -> [C, H, W]; visible pixels keep their own colour. The fill
    is an average over the smallest block of 2, 4, 8 ... pixels that shows anything.
    """
    hidden = alpha <= 0
    if not hidden.any() or hidden.all():
        return colour
    filled: FloatArray = np.where(hidden, _pull(colour * alpha, alpha), colour)
    return filled


def _pull(weighted: FloatArray, weight: FloatArray) -> FloatArray:
    """Return weighted / weight [C, H, W], from coarser blocks where the weight is nothing."""
    known = weight > 0
    own: FloatArray = np.divide(weighted, np.where(known, weight, np.float32(1)))
    if known.all():
        return own
    coarse = _pull(_halved(weighted), _halved(weight[None])[0])
    height, width = weight.shape
    spread = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    pulled: FloatArray = np.where(known, own, spread)
    return pulled


def _halved(planes: FloatArray) -> FloatArray:
    """Return sums of blocks of 2 x 2 pixels, the last ones smaller where a side is odd."""
    _, height, width = planes.shape
    even = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)))
    return even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]


def hidden_pixels(raster: Raster) -> Mask | None:
    """Return which pixels [H, W] are to be filled, None where nothing is hidden or all is."""
    if not raster.has_alpha:
        return None
    hidden: Mask = raster.samples[:, :, -1] == 0
    return hidden if hidden.any() and not hidden.all() else None


class HiddenFill:
    """As `fill_hidden`, for a file's own samples: what it fills with is kept at half the size, and
    put in as rows are asked for, so that the picture is never held as planes."""

    def __init__(self, raster: Raster, hidden: Mask) -> None:
        self._hidden = hidden
        # An even number of rows at a time, so that blocks of 2 x 2 pixels stay whole.
        parts = [_halves(raster.cut(rows)) for rows in strips(raster.height)]
        weighted, weight = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        levels = np.float32(np.iinfo(raster.samples.dtype).max)
        self._coarse = _pull(weighted, weight[0]) * levels

    def fill(self, levels: FloatArray, top: int) -> None:
        """Put the fill into rows [R, W, C] of the picture's samples, from row `top` on."""
        bottom, width = top + len(levels), levels.shape[1]
        coarse = self._coarse[:, top // 2 : (bottom + 1) // 2]
        for channel, plane in enumerate(coarse):
            spread = plane.repeat(2, axis=0)[top % 2 :][: len(levels)].repeat(2, axis=1)[:, :width]
            np.copyto(levels[:, :, channel], spread, where=self._hidden[top:bottom])


def _halves(part: Raster) -> tuple[FloatArray, FloatArray]:
    """Return the sums of weighted colours [C, H / 2, W / 2] and of weights [1, H / 2, W / 2]."""
    alpha = part.alpha
    assert alpha is not None
    return _halved(part.colour * alpha), _halved(alpha[None])
