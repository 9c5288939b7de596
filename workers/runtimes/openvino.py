"""OpenVINO: the trunk in float32, bfloat16 or int8; then the head in ONNX Runtime, in float32.

The trunk's shapes are left open. Preparing a new shape takes some milliseconds, less than padding
pictures to a few fixed sizes (`docs/performance.md`), and the number of prepared shapes is bounded.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import (
    COEFFICIENTS,
    Artifact,
    CatalogError,
    ModelEntry,
    Precision,
    WidthEntry,
    read_verified,
)
from models.geometry import AxisGrid, axis_grid
from workers.machine import CPU_INFO, cpu_flags
from workers.runtimes.arenas import ARENAS, Arena
from workers.runtimes.base import Interrupted, RuntimeMissing, inputs_of
from workers.runtimes.bfloat16 import IMAGE, split_ends, split_image
from workers.runtimes.head import Feed, Head

if TYPE_CHECKING:
    import openvino

FloatArray = NDArray[np.float32]

TRUNK_INPUTS = ("image", "condition", "inverse_scale")
"""The graph inputs that a trunk may take; a model has one of the last two."""
PREPARED_SHAPES = 8
"""Shapes whose preparation each width caches."""
ARENA_BYTES = 16
"""Bytes that a trunk keeps per pixel and channel, measured at full width: the values of a few
layers, in its precision and in float32. Narrow widths keep more per channel, because the stream
between blocks is always of full width."""
DISTINCT_OPERATIONS = 8
"""Operations of a trunk that differ: equal ones, as those of its blocks, share what is prepared for
a shape, 0.6 MB in all. Counted one by one, they filled the cache with some 50 shapes a width."""
PREPARED_OPERATIONS = 64
"""Operations whose preparation oneDNN caches, for all widths of the process together."""


class OpenVinoSession:
    """A model of the catalog in OpenVINO; implements `Session` and `Releasing` of
    `workers.runtimes.base`.

    Widths are loaded as in `OnnxSession`; `threads` work on one operation, 0 for all cores.
    OpenVINO caches compiled graphs in the folder `cache`, which saves a third of a second per
    width. Raises RuntimeMissing where OpenVINO is not installed or the processor does not support
    the precision, and CatalogError for a model without the artifacts for it.
    """

    def __init__(
        self,
        folder: Path,
        entry: ModelEntry,
        precision: Precision = Precision.FLOAT32,
        threads: int = 0,
        spin: bool = False,
        cache: Path | None = None,
    ) -> None:
        require(precision)
        for width in entry.widths:
            trunk_of(entry, width, precision)
        if entry.head is None:
            raise CatalogError(f"{entry.name} has no head of its own; use the onnx runtime")
        weights = read_verified(folder, entry.weights)
        head = Head(folder, entry.head, entry.weights.file, weights, threads, spin)
        compiler = TrunkCompiler(
            folder,
            entry.weights.file,
            weights,
            precision,
            _compile_options(precision, threads, cache),
        )
        self._entry = entry
        self._networks = {
            width.channels: OpenVinoNetwork(
                entry, width.channels, trunk_of(entry, width, precision), compiler, head
            )
            for width in entry.widths
        }

    def at(self, width: float) -> OpenVinoNetwork:
        """Return the model at a width. Raises KeyError for a width that it does not have."""
        return self._networks[self._entry.at(width).channels]

    def release(self) -> None:
        """Free the memory that runs at any width have left."""
        for network in self._networks.values():
            network.release()


@dataclass(frozen=True)
class TrunkCompiler:
    """Reads and compiles the trunks of one model."""

    folder: Path
    weights_file: str
    weights: bytes
    precision: Precision
    options: dict[str, Any]

    def read(self, trunk: Artifact) -> bytes:
        """Return a trunk's graph. Raises CatalogError when it does not match its checksum."""
        return read_verified(self.folder, trunk)

    def compile(self, graph: bytes) -> CompiledTrunk:
        """Compile a trunk's graph."""
        model = self._read(graph)
        mean = split_ends(model) if self.precision is Precision.BFLOAT16 else None
        try:
            compiled = _core().compile_model(model, "CPU", self.options)
        except RuntimeError:  # another worker was just writing the same trunk to the cache
            if "CACHE_DIR" not in self.options:
                raise
            compiled = _core().compile_model(model, "CPU", self.options)
        return CompiledTrunk(compiled, mean)

    def _read(self, graph: bytes) -> openvino.Model:
        """Return a trunk, read from a copy whose checksum was verified: OpenVINO reads weights
        only from files, and those of the model folder may be replaced at any moment."""
        with tempfile.TemporaryDirectory(prefix="anysr-") as place:
            Path(place, self.weights_file).write_bytes(self.weights)
            file = Path(place, "trunk.onnx")
            file.write_bytes(graph)
            return _core().read_model(file)


@dataclass(frozen=True)
class CompiledTrunk:
    """A trunk, and the mean by which `split_image` prepares its image; None: it takes the image."""

    model: openvino.CompiledModel
    mean: float | None

    def inputs(self, feed: Feed) -> Feed:
        """Return the trunk's inputs among those of the whole network."""
        given = {name: feed[name] for name in TRUNK_INPUTS if name in feed}
        if self.mean is not None:
            given[IMAGE] = split_image(given[IMAGE], self.mean)
        return given


class OpenVinoNetwork:
    """One width of an `OpenVinoSession`; implements `Network`, `Interruptible`, `Releasing` and
    `Unloading`."""

    def __init__(
        self,
        entry: ModelEntry,
        channels: int,
        trunk: Artifact,
        compiler: TrunkCompiler,
        head: Head,
    ) -> None:
        self._entry = entry
        self._channels = channels
        self._trunk = trunk
        self._compiler = compiler
        self._head = head
        self._graph: bytes | None = None
        """The trunk's file, kept from the first load on: the folder may change before the next."""
        self._loaded: tuple[CompiledTrunk, openvino.InferRequest, Arena] | None = None
        """The trunk, its request and the memory that it keeps; None while it is not loaded."""
        self.load_ms = 0.0
        self._running: openvino.InferRequest | None = None
        self._interrupted = False
        # A request has a single output buffer.
        self._lock = threading.RLock()

    @property
    def kept_bytes(self) -> int:
        """Estimated memory that the trunk keeps for its next run."""
        return 0 if self._loaded is None else self._loaded[2].size

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        """Upscale image [B, 3, H, W] to [B, 3, Y, X], not clamped. Raises CatalogError when the
        trunk's file does not match the catalog's checksum, and Interrupted."""
        feed = inputs_of(self._entry, image, rows, columns, strength)
        with self._lock:
            trunk, request, arena = self._load()
            ARENAS.reserve(arena, ARENA_BYTES * self._channels * image[:, 0].size)
            self._run_trunk(trunk, request, feed)
            return self._head.run(feed, rows, columns)

    def interrupt(self) -> None:
        """End the run in progress before the next operation of the trunk."""
        running = self._running
        if running is not None:
            self._interrupted = True
            running.cancel()

    def release(self) -> None:
        """Free the memory of the runs so far: intermediate values and output of the trunk, and the
        head's arena, by a run of the smallest picture in a new request."""
        grid, image = axis_grid(1, 2), np.zeros((1, 3, 1, 1), np.float32)
        feed = inputs_of(self._entry, image, grid, grid, 0.0)
        with self._lock:
            if self._loaded is None:
                return
            (trunk, request, arena), self._loaded = self._loaded, None
            del request  # its output buffer is freed with it
            arena.release()
            request = trunk.model.create_infer_request()
            self._loaded = trunk, request, arena
            self._run_trunk(trunk, request, feed)
            self._head.release(feed)

    @property
    def loaded(self) -> bool:
        """Whether the trunk is in memory."""
        return self._loaded is not None

    def load(self) -> None:
        """Load the trunk, unless it is loaded. Raises CatalogError as `run`."""
        with self._lock:
            self._load()

    def unload(self) -> None:
        """Free the trunk and the memory of its runs."""
        with self._lock:
            self._loaded = None

    def _load(self) -> tuple[CompiledTrunk, openvino.InferRequest, Arena]:
        if self._loaded is None:
            since = time.perf_counter()
            self._graph = self._graph or self._compiler.read(self._trunk)
            trunk = self._compiler.compile(self._graph)
            arena = Arena(self._lock, trunk.model.release_memory)
            self._loaded = trunk, trunk.model.create_infer_request(), arena
            self.load_ms = (time.perf_counter() - since) * 1e3
        return self._loaded

    def _run_trunk(self, trunk: CompiledTrunk, request: openvino.InferRequest, feed: Feed) -> None:
        """Run the trunk, and add its output to the head's inputs."""
        given = trunk.inputs(feed)
        self._interrupted = False
        try:
            request.start_async(given, share_inputs=True)
            self._running = request  # only now: a request that has not started cannot be cancelled
            request.wait()
        except RuntimeError as error:
            if self._interrupted:
                self._running = None
                _reset_after_cancel(request, given)
                raise Interrupted from error
            raise
        finally:
            self._running = None
        # A view of the request's output buffer, valid until its next run.
        feed[COEFFICIENTS] = request.get_output_tensor(0).data


def _compile_options(precision: Precision, threads: int, cache: Path | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision is Precision.BFLOAT16 else "f32",
        "NUM_STREAMS": 1,
        # With pinning, all workers of a machine would share the first cores.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": PREPARED_SHAPES * DISTINCT_OPERATIONS,
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    if cache is not None and _writable(cache):
        options["CACHE_DIR"] = str(cache)
    return options


def _reset_after_cancel(request: openvino.InferRequest, given: Feed) -> None:
    """Make a request forget a run that was cancelled.

    The operation at which a run was cancelled has allocated buffers for that run's shape, but
    compares the next shape with that of the last completed run. A next run of the completed run's
    size would use buffers of the wrong size, and its output would have the cancelled run's size.
    A run of a size that neither run had makes every operation allocate anew.
    """
    channels = given[IMAGE].shape[1]
    image = np.zeros((1, channels, 1, 1), np.float32)
    if tuple(request.get_output_tensor(0).shape[2:]) == (1, 1):
        image = np.zeros((1, channels, 1, 2), np.float32)
    # Inputs are shared as in the cancelled run: a copy would overwrite that run's picture.
    request.infer({**given, IMAGE: image}, share_inputs=True)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def trunk_of(entry: ModelEntry, width: WidthEntry, precision: Precision) -> Artifact:
    """Return the trunk for a precision. Raises CatalogError if the model has none."""
    if precision is Precision.INT8:
        trunk = width.int8.onnx if width.int8 is not None else None
    else:
        trunk = width.trunk
    if trunk is None:
        raise CatalogError(
            f"{entry.name} has no trunk in {precision.value} at width {width.width:g}; use the "
            "onnx runtime"
        )
    return trunk


def require(precision: Precision) -> None:
    """Raise RuntimeMissing where OpenVINO is not installed, or where this processor has no
    instructions for a precision."""
    try:
        core = _core()
    except ImportError as error:
        raise RuntimeMissing(
            "The openvino runtime is not installed; install the cpu extra "
            "(pip install 'anysr-serve[cpu]') or set ANYSR_RUNTIME=onnx."
        ) from error
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    needed = {Precision.BFLOAT16: "BF16", Precision.INT8: "INT8"}.get(precision, "FP32")
    if needed not in able:
        raise RuntimeMissing(
            f"This processor does not compute in {precision.value}; set ANYSR_PRECISION=auto."
        )


def require_safe(precision: Precision, described: Path = CPU_INFO) -> None:
    """Raise RuntimeMissing where a precision is known to crash the process, or where that cannot be
    determined: int8 with open shapes on a processor with AMX (OpenVINO's issue 37577), which is
    detected on Linux only. Such processors support bfloat16."""
    flags = cpu_flags(described)
    unknown = not flags and platform.machine().lower() in ("x86_64", "amd64")
    if precision is Precision.INT8 and (unknown or "amx_int8" in flags):
        raise RuntimeMissing(
            "OpenVINO may crash in int8 on processors with AMX; set ANYSR_PRECISION=int8 to try."
        )


@functools.cache
def _core() -> openvino.Core:
    # By default oneDNN, below OpenVINO's own cache, keeps every shape that was ever prepared:
    # 100 MB after some hundred sizes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PREPARED_OPERATIONS))
    # The telemetry package would report each conversion to OpenVINO's maker.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    # The files are temporary: they are read once and deleted.
    core.set_property({"ENABLE_MMAP": False})
    return core
