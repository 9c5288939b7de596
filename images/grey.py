"""Whether a picture is grey by content, whatever its file says it is."""

from __future__ import annotations

import numpy as np

from images.picture import Samples, strips
from images.transparency import Mask


def is_grey(samples: Samples, hidden: Mask | None, apart: int = 0) -> bool:
    """Return whether the colours of samples [H, W, 3 or 4] differ by no more than so many levels at
    any pixel that is not hidden. What fills hidden pixels is a mean of others, and differs by no
    more than they do."""
    for rows in strips(len(samples)):
        red, green, blue = np.moveaxis(samples[rows, :, :3], 2, 0)
        highest = np.maximum(np.maximum(red, green), blue)
        coloured = highest - np.minimum(np.minimum(red, green), blue) > apart
        if hidden is not None:
            coloured &= ~hidden[rows]
        if coloured.any():
            return False
    return True
