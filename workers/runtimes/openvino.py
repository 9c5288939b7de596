"""OpenVINO: the trunk in float32, bfloat16 or int8, then the head in ONNX Runtime, in float32.

The trunk's shapes are left open: a shape that comes for the first time costs it some milliseconds,
less than a picture that is padded to one of a few sizes (`docs/performance.md`), and what it keeps
of shapes is bounded. The head's cost nothing there, and change with each scale.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
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
from workers.runtimes.base import Interrupted, RuntimeMissing, inputs_of
from workers.runtimes.onnx import CPU_PROVIDERS, options_with, shrinking
from workers.runtimes.rooms import ROOMS, Room

if TYPE_CHECKING:
    import openvino

FloatArray = NDArray[np.float32]

TRUNK_INPUTS = ("image", "condition", "inverse_scale")
"""Of a graph's inputs, those that its trunk takes too; a model has one of the last two."""
SHAPES = 8
"""Shapes whose preparation is kept, for each width."""
BYTES = 16
"""That a trunk keeps for each pixel and channel, as measured at full width: a few layers' values in
its precision and in float32. A narrow width keeps more than that, for the stream between its blocks
is as wide as ever."""
BAND_PIXELS = 1 << 16
"""Input pixels of which the head makes output at once, or as many fours of output pixels."""
OPERATIONS = 48
"""Of a trunk, each of which is prepared for a shape."""


class OpenVinoSession:
    """A model of the catalog in OpenVINO; implements `Session`, `Interruptible` and `Releasing` of
    `workers.runtimes.base`.

    Widths are loaded as in `OnnxSession`; `threads` work on one operation, 0 for all cores. In the
    folder `cache` OpenVINO keeps what it has compiled: a third of a second for each width. Raises
    RuntimeMissing where OpenVINO is not installed or the processor does not compute in that
    precision, and CatalogError for a model without the artifacts for it.
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
        self._folder = folder
        self._entry = entry
        self._precision = precision
        self._threads = threads
        self._cache = None if cache is None or not _writable(cache) else cache
        self._weights = read_verified(folder, entry.weights)
        self._head = onnxruntime.InferenceSession(
            read_verified(folder, entry.head),
            options_with(entry.weights.file, self._weights, threads, spin),
            providers=list(CPU_PROVIDERS),
        )
        self._loaded: dict[int, tuple[openvino.InferRequest, Room]] = {}
        self._running: openvino.InferRequest | None = None
        self._interrupted = False
        # A trunk has one place for what it makes.
        self._one_at_a_time = threading.RLock()

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
        found = self._entry.at(width)
        with self._one_at_a_time:
            trunk, room = self._at(found)
            ROOMS.take(room, BYTES * found.channels * image[:, 0].size)
            self._run_trunk(trunk, feed)
            return self._run_head(feed, rows, columns)

    def _run_head(
        self, feed: dict[str, NDArray[Any]], rows: AxisGrid, columns: AxisGrid
    ) -> FloatArray:
        """Make the output of what the trunk made, a band of rows at a time: all that lies between
        takes several times the memory of the output."""
        height, slots = rows.offset.shape
        pixels = max(len(columns.offset), len(columns.index) * len(rows.index) // (4 * height))
        most = max(1, BAND_PIXELS // pixels)
        if height <= most:
            whole: FloatArray = self._head.run(None, feed)[0]
            return whole
        shape = len(feed["image"]), 3, len(rows.index), len(columns.index)
        output: FloatArray = np.empty(shape, np.float32)
        lowest, highest = int(rows.index[0]) // slots, int(rows.index[-1]) // slots
        for start in range(lowest, highest + 1, most):
            outputs = slice(*np.searchsorted(rows.index, (start * slots, (start + most) * slots)))
            # Of the image the head reads a pixel around each as well.
            first, last = max(0, start - 1), min(height, start + most + 1)
            band = {name: feed[name][:, :, first:last] for name in (COEFFICIENTS, "image")}
            band["row_offset"] = rows.offset[first:last]
            band["row_index"] = rows.index[outputs] - first * slots
            options = shrinking() if start + most > highest else None
            output[:, :, outputs] = self._head.run(None, {**feed, **band}, options)[0]
        return output

    def _run_trunk(self, trunk: openvino.InferRequest, feed: dict[str, NDArray[Any]]) -> None:
        """Add to the head's inputs what the trunk makes of them."""
        given = {name: feed[name] for name in TRUNK_INPUTS if name in feed}
        self._interrupted = False
        try:
            trunk.start_async(given, share_inputs=True)
            self._running = trunk  # not before: what does not run yet cannot be ended
            trunk.wait()
        except RuntimeError as error:
            if self._interrupted:
                self._running = None
                _settle(trunk, given)
                raise Interrupted from error
            raise
        finally:
            self._running = None
        # A view of what the trunk holds until it runs again.
        feed[COEFFICIENTS] = trunk.get_output_tensor(0).data

    def interrupt(self) -> None:
        """End the run in progress, which looks for that between two of the trunk's operations."""
        running = self._running
        if running is not None:
            self._interrupted = True
            running.cancel()

    def release(self) -> None:
        """Give back the memory of the trunks, of what lies between and of what was made, and that
        of the head: by runs of the smallest picture in new requests."""
        grid, image = axis_grid(1, 2), np.zeros((1, 3, 1, 1), np.float32)
        feed = inputs_of(self._entry, image, grid, grid, 0.0)
        with self._one_at_a_time:
            for channels in list(self._loaded):
                trunk, room = self._loaded.pop(channels)
                compiled = trunk.get_compiled_model()
                del trunk  # its result goes with it
                room.empty()
                trunk = compiled.create_infer_request()
                self._loaded[channels] = trunk, room
                self._run_trunk(trunk, feed)
            if self._loaded:
                self._head.run(None, feed, shrinking())

    def _at(self, width: WidthEntry) -> tuple[openvino.InferRequest, Room]:
        if width.channels not in self._loaded:
            trunk = trunk_of(self._entry, width, self._precision)
            hint = "bf16" if self._precision is Precision.BFLOAT16 else "f32"
            options: dict[str, Any] = {
                "INFERENCE_PRECISION_HINT": hint,
                "NUM_STREAMS": 1,
                # Several workers of a machine would share the first cores.
                "ENABLE_CPU_PINNING": False,
                "CPU_RUNTIME_CACHE_CAPACITY": SHAPES * OPERATIONS,
            }
            if self._threads:
                options["INFERENCE_NUM_THREADS"] = self._threads
            if self._cache is not None:
                options["CACHE_DIR"] = str(self._cache)
            compiled = _core().compile_model(self._read(trunk), "CPU", options)
            room = Room(self._one_at_a_time, compiled.release_memory)
            self._loaded[width.channels] = compiled.create_infer_request(), room
        return self._loaded[width.channels]

    def _read(self, trunk: Artifact) -> openvino.Model:
        """Return a trunk, made of content that was checked: OpenVINO reads weights from files
        alone, and those of the model folder may be exchanged at any moment."""
        with tempfile.TemporaryDirectory(prefix="anysr-") as place:
            Path(place, self._entry.weights.file).write_bytes(self._weights)
            graph = Path(place, trunk.file)
            graph.write_bytes(read_verified(self._folder, trunk))
            return _core().read_model(graph)


def _settle(trunk: openvino.InferRequest, given: dict[str, NDArray[Any]]) -> None:
    """Make a trunk forget a run that was ended early.

    The operation at which it ended has made room for that run's shape, and goes by the last run
    that came to its end when it looks whether the next is new: one of that size would be made in
    the wrong room, and from there on as large as the picture that was ended. A run of a size that
    no picture has, nor had the last run, makes room anew everywhere.
    """
    image = np.zeros((1, 3, 1, 1), np.float32)
    if tuple(trunk.get_output_tensor(0).shape[2:]) == (1, 1):
        image = np.zeros((1, 3, 1, 2), np.float32)
    # Shared, as the run before was: a copy would be written into that run's picture.
    trunk.infer({**given, "image": image}, share_inputs=True)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def trunk_of(entry: ModelEntry, width: WidthEntry, precision: Precision) -> Artifact:
    """Return the trunk that runs in a precision; CatalogError if the model has none."""
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
    """Raise RuntimeMissing where OpenVINO is not installed, or where this processor does not
    compute in a precision by itself."""
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
    """Raise RuntimeMissing where a precision is known to end the process, or nobody can tell: int8
    with open shapes on a processor with AMX (OpenVINO's issue 37577), which is seen on Linux. It
    computes bfloat16 as well."""
    flags = cpu_flags(described)
    unknown = not flags and platform.machine().lower() in ("x86_64", "amd64")
    if precision is Precision.INT8 and (unknown or "amx_int8" in flags):
        raise RuntimeMissing(
            "OpenVINO may crash in int8 on processors with AMX; set ANYSR_PRECISION=int8 to try."
        )


@functools.cache
def _core() -> openvino.Core:
    # What it prepares for a shape is kept with the width. oneDNN, below it, would keep all that was
    # ever prepared: a hundred MB after some hundred sizes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    # It would tell its maker of each conversion.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    # The files are read once, and are gone afterwards.
    core.set_property({"ENABLE_MMAP": False})
    return core
