"""A foreign graph of one integer scale: run at that scale, then resampled to the wanted size.

The size is any from 1 to 8 times the input's. Lanczos takes the graph's output there, with an
antialiasing kernel where that is smaller; at the graph's own scale nothing is resampled. The graph
runs once whatever the scale: a second run would enlarge what the first one invented.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from images.plane_resampling import Box, lanczos_part
from models.adapters.enlarging import enlarge
from models.adapters.record import Adapter, Colours
from models.adapters.values import luma_of
from models.catalog import ModelEntry
from models.geometry import AxisGrid
from workers.runtimes.base import FloatArray, Interrupted
from workers.runtimes.onnx import CPU_PROVIDERS, GraphLoader, OnnxGraph, options_with

SAME = 1e-6
"""Largest difference from an enlarged pixel at which a position counts as that pixel's."""


class AdapterSession:
    """A foreign graph in ONNX Runtime; implements `Session` and `Releasing` of
    `workers.runtimes.base`. Arguments as for `OnnxSession`. Raises ValueError for an entry without
    an adapter."""

    def __init__(
        self,
        folder: Path,
        entry: ModelEntry,
        threads: int = 0,
        providers: Sequence[str] = CPU_PROVIDERS,
        spin: bool = False,
    ) -> None:
        if entry.adapter is None:
            raise ValueError(f"{entry.name} has no adapter")
        # The graph holds its own weights: of other files it can read none.
        loader = GraphLoader(folder, options_with("", b"\0", threads, spin), b"", tuple(providers))
        self._entry = entry
        self._network = AdapterNetwork(entry.adapter, OnnxGraph(entry.widths[0].onnx, loader))

    def at(self, width: float) -> AdapterNetwork:
        """Return the network, which has one width. Raises KeyError for another one."""
        self._entry.at(width)
        return self._network

    def release(self) -> None:
        """Free the memory of the runs so far."""
        self._network.release()


class AdapterNetwork:
    """A foreign graph; implements `Network`, `Interruptible`, `Releasing` and `OnDevice`."""

    def __init__(self, adapter: Adapter, graph: OnnxGraph) -> None:
        self._adapter = adapter
        self._graph = graph
        self._interrupted: bool | None = None
        """Whether the run in progress is to end; None between runs."""

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        strength: float = 0.0,  # noqa: ARG002 - a foreign graph has no input for it
    ) -> FloatArray:
        """Upscale image [1, 3, H, W] in [0, 1] to [1, 3, Y, X], not clamped. Raises CatalogError
        when the graph's file does not match the catalog's checksum, WrongOutput, OutOfMemory and
        Interrupted."""
        self._interrupted = False
        try:
            larger = enlarge(image, self._adapter, self._run_graph)
        finally:
            self._interrupted = None
        made = _resampled(larger, rows, columns, self._adapter.scale)
        if self._adapter.colours is not Colours.LUMA:
            return made
        colour = image - luma_of(image)
        return made + (_resampled(colour, rows, columns, 1) if colour.any() else 0)

    def interrupt(self) -> None:
        """End the run in progress before the next operation of the graph, or its next patch."""
        if self._interrupted is not None:
            self._interrupted = True
            self._graph.interrupt()

    def release(self) -> None:
        """Free the memory of the runs so far, by one more run of a small picture. A graph of one
        fixed size keeps its memory, which is always that of one patch."""
        adapter = self._adapter
        if adapter.height and adapter.width:
            return
        sides = (cut(1)[0].length for cut in (adapter.patching.rows, adapter.patching.columns))
        kind = np.float16 if adapter.half else np.float32
        black = np.zeros((1, adapter.colours.channels, *sides), kind)
        self._graph.release(adapter.output, {adapter.input: black})

    def free_bytes(self) -> int | None:
        """Return the free memory of the GPU; None while unknown, and on the CPU."""
        return self._graph.free_bytes()

    def _run_graph(self, values: NDArray[Any]) -> NDArray[Any]:
        if self._interrupted:
            raise Interrupted
        return self._graph.run(self._adapter.output, {self._adapter.input: values})


def _resampled(planes: FloatArray, rows: AxisGrid, columns: AxisGrid, scale: int) -> FloatArray:
    """Return planes [1, C, sH, sW] of a window of H x W pixels at the places of a grid:
    [1, C, Y, X]."""
    (upper, lower), (left, right) = (_part(axis, scale) for axis in (rows, columns))
    size = len(rows.index), len(columns.index)
    if (lower - upper, right - left) == size and upper.is_integer() and left.is_integer():
        return planes[:, :, int(upper) : int(lower), int(left) : int(right)]
    box: Box = left, upper, right, lower
    return np.stack([lanczos_part(plane, *size, box) for plane in planes[0]])[None]


def _part(axis: AxisGrid, scale: int) -> tuple[float, float]:
    """Return the stretch of the enlarged axis under the output pixels of a grid."""
    count, slots = axis.offset.shape
    at = axis.index[[0, -1]]
    first, last = (at // slots + 0.5 + axis.offset.reshape(-1)[at].astype(float)) * scale
    # Both centres are rounded to float32; their distance tells nothing where there is one pixel.
    half = scale * axis.inverse_scale / 2
    start, stop = _snapped(max(0.0, first - half)), _snapped(min(count * scale, last + half))
    return start, stop


def _snapped(position: float) -> float:
    """Return a position without its rounding error, where it is the edge of a pixel."""
    nearest = math.floor(position + 0.5)
    return float(nearest) if abs(position - nearest) <= SAME * max(1, nearest) else position
