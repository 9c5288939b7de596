"""Filling of hidden pixels: those that are fully transparent.

Their colours are arbitrary and would bleed into visible edges when a picture is enlarged, so they
are replaced by the colours of visible neighbours first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from images.picture import FloatArray, Raster, strips

Mask = NDArray[np.bool_]


def hidden_pixels(raster: Raster) -> Mask | None:
    """Return the mask [H, W] of pixels to fill, None if no pixel or every pixel is hidden."""
    if not raster.has_alpha:
        return None
    hidden: Mask = raster.samples[:, :, -1] == 0
    return hidden if hidden.any() and not hidden.all() else None


class HiddenFill:
    """Fills fully transparent pixels with the colour of visible neighbours: the mean, weighted by
    alpha, over the smallest block of 2, 4, 8 ... pixels with a visible one.

    The fill is kept at half the size and applied window by window, so that the whole picture is
    never held as float planes.
    """

    def __init__(self, raster: Raster, hidden: Mask) -> None:
        self._hidden = hidden
        half = -(-raster.height // 2), -(-raster.width // 2)
        weighted = np.empty((raster.colours, *half), np.float32)
        weight = np.empty((1, *half), np.float32)
        for rows in strips(
            raster.height, raster.width
        ):  # of even numbers: blocks of 2 x 2 stay whole
            halves = slice(rows.start // 2, rows.stop // 2)
            weighted[:, halves], weight[:, halves] = _halves(raster.cut(rows))
        self._coarse = _pull(weighted, weight[0])
        self._coarse *= np.float32(np.iinfo(raster.samples.dtype).max)

    def fill(self, levels: FloatArray, top: int, left: int = 0) -> None:
        """Fill a window [R, S, C] of the picture's samples in place; its upper left pixel is in row
        `top` and column `left`."""
        bottom, right = top + levels.shape[0], left + levels.shape[1]
        coarse = self._coarse[:, top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        inside = slice(top % 2, top % 2 + levels.shape[0]), slice(left % 2, left % 2 + right - left)
        hidden = self._hidden[top:bottom, left:right]
        for channel, plane in enumerate(coarse):
            np.copyto(levels[:, :, channel], _doubled(plane)[inside], where=hidden)


def _halves(part: Raster) -> tuple[FloatArray, FloatArray]:
    """Return the sums of weighted colours [C, H / 2, W / 2] and of weights [1, H / 2, W / 2]."""
    alpha = part.alpha
    assert alpha is not None
    return _halved(part.colour * alpha), _halved(alpha[None])


def _pull(weighted: FloatArray, weight: FloatArray) -> FloatArray:
    """Return weighted / weight [C, H, W], taken from coarser blocks where the weight is 0; changes
    `weighted` in place."""
    known = weight > 0
    coarse = None if known.all() else _pull(_halved(weighted), _halved(weight[None])[0])
    np.divide(weighted, weight, out=weighted, where=known)
    if coarse is not None:
        height, width = weight.shape
        for plane, fill in zip(weighted, coarse, strict=True):
            np.copyto(plane, _doubled(fill)[:height, :width], where=~known)
    return weighted


def _halved(planes: FloatArray) -> FloatArray:
    """Return sums over blocks of 2 x 2 pixels; the last blocks of an odd side are smaller."""
    _, height, width = planes.shape
    even = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)))
    return even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]


def _doubled(plane: FloatArray) -> FloatArray:
    """Return a plane with each pixel repeated as a block of 2 x 2."""
    return plane.repeat(2, axis=0).repeat(2, axis=1)
