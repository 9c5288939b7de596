"""What a worker asks of an engine."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.geometry import AxisGrid

FloatArray = NDArray[np.float32]


class RuntimeMissing(RuntimeError):
    """The chosen runtime is not installed, or cannot run on the chosen device."""


class Session(Protocol):
    """One loaded model, all its widths."""

    def run(self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, width: float) -> FloatArray:
        """Upscale image [B, 3, H, W] in [0, 1] to [B, 3, len(rows.index), len(columns.index)],
        not clamped. `rows` and `columns` cover exactly the H and W input pixels. KeyError for
        a width that the model does not have."""
