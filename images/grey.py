"""Detection of pictures that are grey by content, whatever their layout."""

from __future__ import annotations

import numpy as np

from images.hidden_pixels import Mask
from images.picture import Samples, strips


def is_grey(samples: Samples, hidden: Mask | None, apart: int = 0) -> bool:
    """Return whether the channels of samples [H, W, 3 or 4] differ by at most `apart` levels at
    every pixel that is not hidden.

    Hidden pixels are filled with means of visible ones, so they differ by no more.
    """
    for rows in strips(*samples.shape[:2]):
        red, green, blue = np.moveaxis(samples[rows, :, :3], 2, 0)
        highest = np.maximum(np.maximum(red, green), blue)
        coloured = highest - np.minimum(np.minimum(red, green), blue) > apart
        if hidden is not None:
            coloured &= ~hidden[rows]
        if coloured.any():
            return False
    return True
