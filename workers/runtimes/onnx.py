"""ONNX Runtime: one small graph per width, all reading the same weights file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.catalog import Artifact, ModelEntry, read_verified
from models.geometry import AxisGrid, axis_grid
from workers.gpu import free_gpu_bytes
from workers.runtimes.base import Interrupted, OutOfMemory, RuntimeMissing, inputs_of
from workers.runtimes.out_of_memory import reported_as_out_of_memory

FloatArray = NDArray[np.float32]

CPU_PROVIDERS = ("CPUExecutionProvider",)
CUDA_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")

OUTPUT = "upscaled"
"""Name of the output of a graph that `anysr export` wrote."""

SHRINKING_SIDE = 64
"""Pixels a side of the picture whose run shrinks the arena; every network accepts that size."""


class OnnxSession:
    """A model of the catalog in ONNX Runtime; implements `Session` and `Releasing` of
    `workers.runtimes.base`.

    A width is loaded when it first runs. `threads` work on one operation, 0 for all cores;
    they do not spin while idle unless `spin` is set, so an idle worker uses no CPU time. The
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
        weights = read_verified(folder, entry.weights)
        options = options_with(entry.weights.file, weights, threads, spin)
        loader = GraphLoader(folder, options, weights, tuple(providers))
        self._entry = entry
        self._networks = {
            width.channels: OnnxNetwork(entry, width.onnx, loader) for width in entry.widths
        }

    def at(self, width: float) -> OnnxNetwork:
        """Return the model at a width. Raises KeyError for a width that it does not have."""
        return self._networks[self._entry.at(width).channels]

    def release(self) -> None:
        """Free the memory that runs at any width have left."""
        for network in self._networks.values():
            network.release()


@dataclass(frozen=True)
class GraphLoader:
    """Loads the graphs of one model."""

    folder: Path
    options: onnxruntime.SessionOptions
    weights: bytes
    """Held as long as the graphs, which read them."""
    providers: tuple[str, ...]

    def load(self, graph: Artifact) -> onnxruntime.InferenceSession:
        """Load a graph. Raises CatalogError when its file does not match its checksum, and
        RuntimeMissing when the first provider cannot be used."""
        _require(self.providers[0], onnxruntime.get_available_providers())
        loaded = onnxruntime.InferenceSession(
            read_verified(self.folder, graph), self.options, providers=list(self.providers)
        )
        _require(self.providers[0], loaded.get_providers())
        return loaded


class OnnxGraph:
    """One graph: loaded when it first runs, ended early by `interrupt`."""

    def __init__(self, graph: Artifact, loader: GraphLoader) -> None:
        self._graph = graph
        self._loader = loader
        self._loaded: onnxruntime.InferenceSession | None = None
        """None before the first run."""
        self._holds_memory = False
        """Whether it has run since memory was last released."""
        self._running: onnxruntime.RunOptions | None = None

    def run(self, output: str, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return an output of the graph. Raises CatalogError when the file does not match the
        catalog's checksum, OutOfMemory and Interrupted."""
        graph, running = self._load(), onnxruntime.RunOptions()
        self._holds_memory = True
        self._running = running
        try:
            with reported_as_out_of_memory():
                made: NDArray[Any] = graph.run([output], feed, running)[0]
        except Exception as error:
            if running.terminate:
                raise Interrupted from error
            raise
        finally:
            self._running = None
        return made

    def interrupt(self) -> None:
        """End the run in progress before the next operation of its graph."""
        running = self._running
        if running is not None:
            running.terminate = True

    def release(self, output: str, feed: Mapping[str, NDArray[Any]]) -> None:
        """Free the memory of the runs so far, by one more run of a small picture."""
        if not self._holds_memory:
            return
        self._holds_memory = False
        # Where not even this run has room, there is nothing to free.
        with contextlib.suppress(OutOfMemory), reported_as_out_of_memory():
            self._load().run([output], feed, shrinking(on_gpu=self._on_gpu))

    def free_bytes(self) -> int | None:
        """Return the free memory of the GPU; None while unknown, and on the CPU."""
        return free_gpu_bytes() if self._on_gpu else None

    @property
    def _on_gpu(self) -> bool:
        return self._loader.providers[0] not in CPU_PROVIDERS

    def _load(self) -> onnxruntime.InferenceSession:
        if self._loaded is None:
            self._loaded = self._loader.load(self._graph)
        return self._loaded


class OnnxNetwork:
    """One width of an `OnnxSession`; implements `Network`, `Interruptible`, `Releasing` and
    `OnDevice`."""

    def __init__(self, entry: ModelEntry, graph: Artifact, loader: GraphLoader) -> None:
        self._entry = entry
        self._graph = OnnxGraph(graph, loader)

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] to [B, 3, Y, X], not clamped. Raises CatalogError when the
        graph's file does not match the catalog's checksum, OutOfMemory and Interrupted."""
        return self._graph.run(OUTPUT, inputs_of(self._entry, image, rows, columns, strength))

    def interrupt(self) -> None:
        """End the run in progress before the next operation of its graph."""
        self._graph.interrupt()

    def release(self) -> None:
        """Free the memory of the runs so far, by one more run of a small picture."""
        side = SHRINKING_SIDE
        grid, image = axis_grid(side, 2 * side), np.zeros((1, 3, side, side), np.float32)
        self._graph.release(OUTPUT, inputs_of(self._entry, image, grid, grid, 0.0))

    def free_bytes(self) -> int | None:
        """Return the free memory of the GPU; None while unknown, and on the CPU."""
        return self._graph.free_bytes()


def _require(provider: str, providers: Sequence[str]) -> None:
    """Raise RuntimeMissing where ONNX Runtime would silently fall back to the CPU."""
    if provider not in providers:
        raise RuntimeMissing(
            f"{provider} cannot be used here. ANYSR_DEVICE=cuda needs an NVIDIA GPU, its driver, "
            "and the gpu extra instead of cpu: pip install 'anysr-serve[gpu]'."
        )


def shrinking(on_gpu: bool = False) -> onnxruntime.RunOptions:
    """Return options of a run that shrinks the arena to its first region when it ends. Used after
    every run, they would add half of a large run's time."""
    options = onnxruntime.RunOptions()
    arenas = "cpu:0;gpu:0" if on_gpu else "cpu:0"
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", arenas)
    return options


def options_with(
    weights_file: str, weights: bytes, threads: int, spin: bool
) -> onnxruntime.SessionOptions:
    """Return the options of a graph that refers to a weights file. The caller must keep `weights`,
    the file's content, as long as the graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    # Shapes differ from request to request, so a memory plan for one shape is rarely reused.
    options.enable_mem_pattern = False
    # The content is registered under the file's name, so the graph can read no other file.
    options.add_external_initializers_from_files_in_memory(
        [weights_file], [weights], [len(weights)]
    )
    return options
