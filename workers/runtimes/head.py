"""The head of a model whose trunk runs in OpenVINO: ONNX Runtime in float32, a band at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.catalog import COEFFICIENTS, Artifact, read_verified
from models.geometry import AxisGrid
from workers.runtimes.base import FloatArray
from workers.runtimes.onnx import CPU_PROVIDERS, options_with, shrinking

Feed = dict[str, NDArray[Any]]
"""A graph's inputs by name."""

BAND_PIXELS = 1 << 16
"""Most input pixels of a band, or a quarter of its output pixels if those are more."""


class Head:
    """The graph from a trunk's coefficients to output pixels. Its shapes are free: they change with
    every scale, and ONNX Runtime prepares nothing for a shape."""

    def __init__(
        self,
        folder: Path,
        head: Artifact,
        weights_file: str,
        weights: bytes,
        threads: int,
        spin: bool,
    ) -> None:
        self._weights = weights
        """Held as long as the graph, which reads it."""
        self._graph = onnxruntime.InferenceSession(
            read_verified(folder, head),
            options_with(weights_file, weights, threads, spin),
            providers=list(CPU_PROVIDERS),
        )

    def run(self, feed: Feed, rows: AxisGrid, columns: AxisGrid) -> FloatArray:
        """Return output pixels [B, 3, Y, X], computed in bands of rows: the intermediate values of
        all rows take several times the memory of the output."""
        height, slots = rows.offset.shape
        pixels = max(len(columns.offset), len(columns.index) * len(rows.index) // (4 * height))
        band_rows = max(1, BAND_PIXELS // pixels)
        if height <= band_rows:
            whole: FloatArray = self._graph.run(None, feed)[0]
            return whole
        shape = len(feed["image"]), 3, len(rows.index), len(columns.index)
        output: FloatArray = np.empty(shape, np.float32)
        lowest, highest = int(rows.index[0]) // slots, int(rows.index[-1]) // slots
        for start in range(lowest, highest + 1, band_rows):
            edges = start * slots, (start + band_rows) * slots
            outputs = slice(*np.searchsorted(rows.index, edges))
            # The head reads one more pixel of the image on each side.
            first, last = max(0, start - 1), min(height, start + band_rows + 1)
            band = {name: feed[name][:, :, first:last] for name in (COEFFICIENTS, "image")}
            band["row_offset"] = rows.offset[first:last]
            band["row_index"] = rows.index[outputs] - first * slots
            options = shrinking() if start + band_rows > highest else None
            output[:, :, outputs] = self._graph.run(None, {**feed, **band}, options)[0]
        return output

    def release(self, feed: Feed) -> None:
        """Free the memory of the runs so far, by one more run of a small picture."""
        self._graph.run(None, feed, shrinking())
