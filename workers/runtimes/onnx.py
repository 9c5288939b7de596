"""ONNX Runtime: one small graph per width, all reading the same weights file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.catalog import ModelEntry, WidthEntry, read_verified
from models.geometry import AxisGrid, axis_grid
from workers.runtimes.base import Interrupted, RuntimeMissing, inputs_of

FloatArray = NDArray[np.float32]

CPU_PROVIDERS = ("CPUExecutionProvider",)
CUDA_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")

SMALL = 64
"""Pixels a side of the picture after which memory is given back: every network runs such a one."""


class OnnxSession:
    """A model of the catalog in ONNX Runtime; implements `Session`, `Interruptible` and `Releasing`
    of `workers.runtimes.base`.

    A width is loaded when it is first run. `threads` work on one operation, 0 for all cores;
    they do not spin while idle unless `spin` is set, so that an idle worker costs nothing. The
    weights are held in memory: mapped from their file, they would change with it.
    """

    def __init__(
        self,
        folder: Path,
        entry: ModelEntry,
        threads: int = 0,
        providers: Sequence[str] = CPU_PROVIDERS,
        spin: bool = False,
    ) -> None:
        self._folder = folder
        self._entry = entry
        self._providers = list(providers)
        self._weights = read_verified(folder, entry.weights)
        self._options = options_with(entry.weights.file, self._weights, threads, spin)
        self._loaded: dict[int, onnxruntime.InferenceSession] = {}
        self._used: set[float] = set()
        """Widths that have run since memory was given back."""
        self._running: onnxruntime.RunOptions | None = None

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        width: float,
        strength: float = 0.0,
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] to [B, 3, Y, X], not clamped; KeyError for an unknown
        width. Raises CatalogError when the width's file is not what the catalog promises, and
        Interrupted."""
        feed = inputs_of(self._entry, image, rows, columns, strength)
        graph, running = self._at(self._entry.at(width)), onnxruntime.RunOptions()
        self._used.add(width)
        self._running = running
        try:
            output: FloatArray = graph.run(["upscaled"], feed, running)[0]
        except Exception as error:
            if running.terminate:
                raise Interrupted from error
            raise
        finally:
            self._running = None
        return output

    def interrupt(self) -> None:
        """End the run in progress, which looks for that between two of the graph's operations."""
        running = self._running
        if running is not None:
            running.terminate = True

    def release(self) -> None:
        """Give back the memory of the runs so far, at the end of one more of a small picture."""
        if self._providers[0] not in CPU_PROVIDERS:
            return
        grid, image = axis_grid(SMALL, 2 * SMALL), np.zeros((1, 3, SMALL, SMALL), np.float32)
        feed = inputs_of(self._entry, image, grid, grid, 0.0)
        while self._used:
            graph = self._at(self._entry.at(self._used.pop()))
            graph.run(["upscaled"], feed, shrinking())

    def _at(self, width: WidthEntry) -> onnxruntime.InferenceSession:
        if width.channels not in self._loaded:
            _require(self._providers[0], onnxruntime.get_available_providers())
            loaded = onnxruntime.InferenceSession(
                read_verified(self._folder, width.onnx), self._options, providers=self._providers
            )
            _require(self._providers[0], loaded.get_providers())
            self._loaded[width.channels] = loaded
        return self._loaded[width.channels]


def _require(provider: str, providers: Sequence[str]) -> None:
    """Raise RuntimeMissing where ONNX Runtime would fall back to the CPU in silence."""
    if provider not in providers:
        raise RuntimeMissing(
            f"{provider} cannot be used here. ANYSR_DEVICE=cuda needs an NVIDIA GPU, its driver, "
            "and the gpu extra instead of cpu: pip install 'anysr-serve[gpu]'."
        )


def shrinking() -> onnxruntime.RunOptions:
    """Return options of a run after which what it and earlier ones took is given back, but for the
    first piece. Done after each run, that would cost a large one half of its time."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def options_with(
    weights_file: str, weights: bytes, threads: int, spin: bool
) -> onnxruntime.SessionOptions:
    """Return the options of a graph that refers to a weights file; `weights`, its content, must be
    held as long as the graph is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    # Shapes differ from request to request: a memory plan for one is waste for the next.
    options.enable_mem_pattern = False
    # The name stands in for the file that the graph refers to: no other can be read.
    options.add_external_initializers_from_files_in_memory(
        [weights_file], [weights], [len(weights)]
    )
    return options
