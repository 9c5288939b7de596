"""How much of a picture's colours would be lost at half the resolution."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from images.picture import Samples

FULL_COLOUR_QUALITY = 90
"""From this quality on, chroma is kept at full resolution, or as well as a format allows."""
VISIBLE = 48
"""Levels between the colours of neighbours, of 255, that are seen."""
FEW, MANY = 1 / 2000, 1 / 10
"""Parts of such blocks that red letters on a photograph have, and a drawing in pure colours."""
EVERY = 8
"""One pair of rows in so many is looked at: 5 ms a megapixel."""


def fine_share(samples: Samples) -> float:
    """Return the part, 0 to 1, of the blocks of 2 x 2 pixels of samples [H, W, 3 or 4] of 8 bits
    whose colours visibly differ, as those of red letters do and most of a photograph do not."""
    height, width = samples.shape[0], samples.shape[1] // 2 * 2
    blocks = seen = 0
    for top in range(0, height - 1, 2 * EVERY):
        spread = _spread(samples[top : top + 2, :width, :3].astype(np.int16))
        blocks += spread.shape[0]
        seen += int(np.count_nonzero(spread > VISIBLE))
    return seen / blocks if blocks else 0.0


def _spread(rows: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the largest difference of red or blue to green within each block of two rows
    [2, W, 3]."""
    colours = rows[:, :, ::2] - rows[:, :, 1:2]
    corners = colours[0, ::2], colours[0, 1::2], colours[1, ::2], colours[1, 1::2]
    highest = functools.reduce(np.maximum, corners)
    lowest = functools.reduce(np.minimum, corners)
    spread: NDArray[np.int16] = (highest - lowest).max(axis=1, initial=0)
    return spread
