"""Plain resampling: the floor of the ladder, and how transparency is enlarged."""

from __future__ import annotations

import numpy as np
from PIL import Image

from workers.picture import FloatArray


def lanczos(plane: FloatArray, height: int, width: int) -> FloatArray:
    """Resample one plane [H, W] to [height, width], clamped to [0, 1]."""
    if plane.shape == (height, width):
        return plane
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    resized = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    clamped: FloatArray = np.clip(resized, np.float32(0), np.float32(1))
    return clamped


def linear(plane: FloatArray, height: int, width: int) -> FloatArray:
    """Interpolate one plane [H, W] to [height, width], neither smaller; of any values, none of
    which is exceeded."""
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def fill_hidden(colour: FloatArray, alpha: FloatArray) -> FloatArray:
    """Give fully transparent pixels the colour of their visible neighbours.

    colour [C, H, W], alpha [H, W] -> [C, H, W]; visible pixels keep their own colour. What lies
    hidden is arbitrary, and would otherwise bleed into the visible edge when enlarged. The fill
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
