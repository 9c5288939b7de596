"""Time of the shipped networks by width and scale, as ratios within one run.

The trunk alone is the same ONNX graph cut off where the head begins, so both sides run in the
same process, on the same threads, in turn; a shared machine slows both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from models.catalog import ModelEntry, verified
from models.geometry import axis_grid, output_size
from models.parts import KERNEL

TRUNK = "trunk"


@dataclass(frozen=True)
class Timing:
    """Median ms of the widest network at one scale, and median ratios of pairs of runs."""

    scale: float
    widest_ms: float
    over_trunk: float | None
    """Widest whole network / its own trunk; None for networks without a tensor-product head."""
    over_widest: dict[float, float]
    """Each narrower width / the widest."""


def time_model(
    folder: Path,
    entry: ModelEntry,
    scales: Sequence[float],
    side: int = 256,
    threads: int = 2,
    repeats: int = 15,
    report: Callable[[Timing], None] = lambda timing: None,
) -> list[Timing]:
    """Time a model's widths on one input of side x side pixels at each scale that it serves."""
    sessions = {w.width: _session(verified(folder, w.onnx), threads) for w in entry.widths}
    widest = entry.widths[-1]
    verified(folder, entry.weights)
    trunk = _trunk_session(folder / widest.onnx.file, threads)
    results = []
    for scale in (s for s in scales if s <= entry.max_scale):
        timing = _time_scale(sessions, trunk, scale, side, repeats)
        results.append(timing)
        report(timing)
    return results


def _time_scale(
    sessions: dict[float, onnxruntime.InferenceSession],
    trunk: onnxruntime.InferenceSession | None,
    scale: float,
    side: int,
    repeats: int,
) -> Timing:
    feed = _feed(side, scale)
    everything = {f"{w:g}": s for w, s in sessions.items()}
    if trunk is not None:
        everything = {TRUNK: trunk, **everything}
    times: dict[str, list[float]] = {name: [] for name in everything}
    for repeat in range(repeats + 2):
        for name, session in everything.items():
            needed = {i.name: feed[i.name] for i in session.get_inputs()}
            start = time.perf_counter()
            session.run(None, needed)
            if repeat >= 2:  # the first two rounds warm up caches and the memory arena
                times[name].append(1e3 * (time.perf_counter() - start))
    widest = times[f"{max(sessions):g}"]
    narrower = [w for w in sessions if w != max(sessions)]
    return Timing(
        scale,
        median(widest),
        None if trunk is None else _ratio(widest, times[TRUNK]),
        {w: _ratio(times[f"{w:g}"], widest) for w in narrower},
    )


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """Return the median ratio over neighbouring runs."""
    return median(a / b for a, b in zip(these, those, strict=True))


def _feed(side: int, scale: float) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    grid = axis_grid(side, output_size(side, scale))
    image = np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)
    return {
        "image": image,
        "inverse_scale": np.array([grid.inverse_scale] * 2, dtype=np.float32),
        "condition": np.array([grid.inverse_scale] * 2 + [0.0], dtype=np.float32),
        "row_offset": grid.offset,
        "row_index": grid.index,
        "column_offset": grid.offset,
        "column_index": grid.index,
    }


def _session(
    model: Path | bytes, threads: int, weights_folder: Path | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if weights_folder is not None:
        key = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(key, str(weights_folder))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _trunk_session(path: Path, threads: int) -> onnxruntime.InferenceSession | None:
    """Return the graph of `path` cut off at the head's first convolution; None without such."""
    model = onnx.load(path, load_external_data=False)
    heads = [node for node in model.graph.node if KERNEL in node.input]
    if not heads:
        return None
    head = heads[0]
    features = helper.make_tensor_value_info(head.input[0], TensorProto.FLOAT, None)
    del model.graph.output[:]
    model.graph.output.append(features)
    return _session(model.SerializeToString(), threads, path.parent)
