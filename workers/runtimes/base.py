"""What a worker asks of an engine."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.catalog import ModelEntry
from models.geometry import AxisGrid

FloatArray = NDArray[np.float32]


class RuntimeMissing(RuntimeError):
    """The chosen runtime is not installed, or cannot run on the chosen device."""


class Interrupted(Exception):
    """A run was ended before it was done, as another thread had asked."""


@runtime_checkable
class Interruptible(Protocol):
    """A session whose runs can be ended early."""

    def interrupt(self) -> None:
        """End the run in progress, which then raises Interrupted; to be called on another thread.
        Without one, nothing wait_for_event."""


@runtime_checkable
class Releasing(Protocol):
    """A session that keeps the memory of its runs for the next ones."""

    def release(self) -> None:
        """Give it back: after a large picture it is hundreds of megabytes for each width, and
        encoding needs them. Costs less than one tile did. On the thread that runs, between runs."""


class Session(Protocol):
    """One loaded model, all its widths."""

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        width: float,
        strength: float = 0.0,
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] in [0, 1] to [B, 3, len(rows.index), len(columns.index)],
        not clamped. `rows` and `columns` cover exactly the H and W input pixels. `strength` says
        how damaged the image is, from 0 to 1; a model that takes none does not see it. KeyError
        for a width that the model does not have."""


def inputs_of(
    entry: ModelEntry, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float
) -> dict[str, NDArray[Any]]:
    """Return what a model's graph is given, by the names of its inputs."""
    return {
        "image": image,
        "row_offset": rows.offset,
        "row_index": rows.index,
        "column_offset": columns.offset,
        "column_index": columns.index,
        **condition_of(entry, rows, columns, strength),
    }


def condition_of(
    entry: ModelEntry, rows: AxisGrid, columns: AxisGrid, strength: float
) -> dict[str, FloatArray]:
    """Return what a graph is told of scale and strength, by the name of its input."""
    scales = [rows.inverse_scale, columns.inverse_scale]
    if entry.takes_strength:
        return {"condition": np.array([*scales, strength], np.float32)}
    return {"inverse_scale": np.array(scales, np.float32)}
