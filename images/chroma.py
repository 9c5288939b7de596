"""How much of a picture's colours would be lost at half the resolution."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from images.picture import Samples

FULL_COLOUR_QUALITY = 90
"""From this quality on, chroma is kept at full resolution, or as well as a format allows."""
VISIBLE = 96
"""Levels between the colours of neighbours, of 255, that are seen."""
FEW, MANY = 1 / 2000, 1 / 10
"""Parts of such neighbourhoods in red letters on a photograph, and in a drawing in pure colours."""
EVERY = 13
"""Three of so many rows are looked at; a prime number, so that stripes are met in all places."""


def fine_share(samples: Samples) -> float:
    """Return the part, 0 to 1, of the neighbourhoods of 3 x 3 pixels of samples [H, W, 3 or 4]
    whose colours visibly differ, as those of red letters do and most of a photograph do not.
    Neighbourhoods overlap by one pixel, as decoders spread halved chroma."""
    looked_at = seen = 0
    finer = 8 * samples.itemsize - 8
    for top in range(0, samples.shape[0], EVERY):
        spread = _spread((samples[top : top + 3, :, :3] >> finer).astype(np.int16))
        looked_at += len(spread)
        seen += int(np.count_nonzero(spread > VISIBLE))
    return seen / looked_at


def _spread(rows: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the largest difference, of red or blue to green, within each neighbourhood of rows
    [1 to 3, W, 3]."""
    colours = rows[:, :, ::2] - rows[:, :, 1:2]
    highest = _over_three(functools.reduce(np.maximum, colours), np.maximum)
    lowest = _over_three(functools.reduce(np.minimum, colours), np.minimum)
    spread: NDArray[np.int16] = (highest - lowest).max(axis=1)
    return spread


def _over_three(column: NDArray[np.int16], choose: np.ufunc) -> NDArray[np.int16]:
    """Return the chosen value of columns 0 to 2, 2 to 4 and so on of [W, 2]; of all if W < 3."""
    if len(column) < 3:
        alone: NDArray[np.int16] = choose.reduce(column, axis=0, keepdims=True)
        return alone
    chosen: NDArray[np.int16] = choose(choose(column[:-2:2], column[1:-1:2]), column[2::2])
    return chosen
