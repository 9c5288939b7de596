"""The interface between a worker and the engines that run networks."""

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
    """A run was ended early by `Interruptible.interrupt`."""


class OutOfMemory(MemoryError):
    """The device that a network runs on has too little memory for a run."""


@runtime_checkable
class Interruptible(Protocol):
    """A network whose runs can be ended early."""

    def interrupt(self) -> None:
        """End the run in progress, which then raises Interrupted. Called on another thread. Does
        nothing while no run is in progress."""


@runtime_checkable
class Releasing(Protocol):
    """A network or session that keeps the memory of its runs for the next ones."""

    def release(self) -> None:
        """Free that memory, which after a large picture is hundreds of megabytes per width and is
        needed for encoding. Costs less than one tile. Called on the running thread, between runs.
        """


@runtime_checkable
class OnDevice(Protocol):
    """A network that may run on a device with memory of its own."""

    def free_bytes(self) -> int | None:
        """Return the device memory that a run may take; None while it is unknown, and for a network
        on the CPU."""


class Network(Protocol):
    """A loaded model at one width."""

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] in [0, 1] to [B, 3, len(rows.index), len(columns.index)],
        not clamped. `rows` and `columns` cover exactly the H and W input pixels. `strength` is the
        image's compression damage, from 0 to 1; models without that input ignore it. Raises
        OutOfMemory, after which a smaller run is possible."""


class Session(Protocol):
    """One loaded model, all its widths."""

    def at(self, width: float) -> Network:
        """Return the model at a width. Raises KeyError for a width that it does not have."""


def inputs_of(
    entry: ModelEntry, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float
) -> dict[str, NDArray[Any]]:
    """Return the inputs of a model's graph by name."""
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
    """Return the input that carries scale and, if the model takes it, strength, by its name."""
    scales = [rows.inverse_scale, columns.inverse_scale]
    if entry.takes_strength:
        return {"condition": np.array([*scales, strength], np.float32)}
    return {"inverse_scale": np.array(scales, np.float32)}
