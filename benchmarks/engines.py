"""Time, share of the peak, and agreement of every backend that can run a model here.

All run in turn in one process, so a shared machine slows all alike. The peak is the speed of one
large matrix product in the same precision. Load time and memory are measured in processes of their
own.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import openvino
import psutil
import torch

from models.architectures.registry import build_network
from models.arithmetic import arithmetic_of
from models.catalog import ModelEntry, Precision, read_catalog
from models.geometry import axis_grid, output_size
from workers.backends import REFERENCE, Backend, check_picture, session_of, usable
from workers.runtimes.base import FloatArray, Session
from workers.settings import WorkerSettings

WARMING = 2
"""Rounds that do not count, because they prepare shapes and memory."""
PRODUCT = 2048
"""Rows and columns of the matrices whose product measures the peak."""


@dataclass(frozen=True)
class Timing:
    """One backend at one scale."""

    backend: Backend
    scale: float
    ms_per_megapixel: float
    """Of the input."""
    of_plain: float
    """Median ratio to ONNX Runtime in float32, over neighbouring runs."""
    gflops: float
    """Multiply-accumulates of trunk and head, two operations each, in 10^9 per second."""
    db: float
    """PSNR of the picture against that of float32."""


@dataclass(frozen=True)
class Loading:
    """Cost of one backend until all widths have run once, in a process of its own."""

    seconds: float
    mebibytes: float


def backends_of(entry: ModelEntry, threads: int) -> list[Backend]:
    """Return every backend that can run a model here, ONNX Runtime in float32 first."""
    settings = WorkerSettings(worker_threads=threads)
    return [REFERENCE, *(one for one in usable(entry, settings) if one != REFERENCE)]


def time_engines(
    folder: Path,
    entry: ModelEntry,
    scales: Sequence[float],
    side: int,
    threads: int,
    repeats: int,
    width: float = 1.0,
) -> Iterator[Timing]:
    """Yield the time of each backend at each scale, on one picture of side x side pixels."""
    sessions = _sessions(folder, entry, threads)
    image = check_picture(side, side)
    for scale in scales:
        calls = {b: _call(s, image, scale, width) for b, s in sessions.items()}
        times, pictures = _in_turn(calls, repeats)
        operations = _operations(entry, width, side, scale)
        for backend, taken in times.items():
            error = np.square(pictures[backend] - pictures[REFERENCE]).mean()
            pairs = zip(taken, times[REFERENCE], strict=True)
            yield Timing(
                backend,
                scale,
                1e3 * median(taken) / (side * side / 1e6),
                median(a / b for a, b in pairs),
                operations / median(taken) / 1e9,
                float(-10 * np.log10(max(float(error), 1e-14))),
            )


def peaks(precisions: Sequence[Precision], threads: int, repeats: int) -> dict[Precision, float]:
    """Return the GFLOP/s of one matrix product in each precision."""
    calls = {precision: _product(precision, threads) for precision in precisions}
    times, _ = _in_turn(calls, repeats)
    return {precision: 2 * PRODUCT**3 / min(taken) / 1e9 for precision, taken in times.items()}


def load(folder: Path, name: str, backend: Backend, threads: int) -> Loading:
    """Return time and memory that a backend takes to load, in a new process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found: Loading = pool.apply(_load_here, (folder, name, backend, threads))
        return found


def _load_here(folder: Path, name: str, backend: Backend, threads: int) -> Loading:
    entry = read_catalog(folder).get(name)
    process = psutil.Process()
    before, since = process.memory_info().rss, time.perf_counter()
    session = session_of(folder, entry, WorkerSettings(worker_threads=threads), backend)
    image, grid = check_picture(64, 64), axis_grid(64, 128)
    for width in entry.widths:
        session.at(width.width).run(image, grid, grid)
    seconds = time.perf_counter() - since
    return Loading(seconds, (process.memory_info().rss - before) / 2**20)


def _sessions(folder: Path, entry: ModelEntry, threads: int) -> dict[Backend, Session]:
    settings = WorkerSettings(worker_threads=threads)
    return {b: session_of(folder, entry, settings, b) for b in backends_of(entry, threads)}


def _call(
    session: Session, image: FloatArray, scale: float, width: float
) -> Callable[[], FloatArray]:
    grid = axis_grid(image.shape[2], output_size(image.shape[2], scale))
    network = session.at(width)
    return lambda: network.run(image, grid, grid)


def _in_turn(
    calls: dict[Any, Callable[[], FloatArray]], repeats: int
) -> tuple[dict[Any, list[float]], dict[Any, FloatArray]]:
    """Run calls in turn; return the seconds of each run, and the last result of each call."""
    times: dict[Any, list[float]] = {key: [] for key in calls}
    made = {}
    for repeat in range(WARMING + repeats):
        for key, call in calls.items():
            since = time.perf_counter()
            made[key] = call()
            if repeat >= WARMING:
                times[key].append(time.perf_counter() - since)
    return times, made


def _operations(entry: ModelEntry, width: float, side: int, scale: float) -> float:
    with torch.device("meta"):
        network = build_network(entry.network)
    cost = arithmetic_of(network)
    trunk = cost.trunk[[w.width for w in entry.widths].index(width)]
    inputs, outputs = side * side, output_size(side, scale) ** 2
    return 2.0 * (inputs * (trunk + cost.head_per_input) + outputs * cost.head_per_output)


def _product(precision: Precision, threads: int) -> Callable[[], FloatArray]:
    """Return a matrix product in a precision: that of torch for floats, which is faster than that
    of OpenVINO, and that of OpenVINO for int8, which torch lacks on a CPU."""
    random = np.random.default_rng(0)
    left: FloatArray = random.random((PRODUCT, PRODUCT), dtype=np.float32)
    right: FloatArray = random.random((PRODUCT, PRODUCT), dtype=np.float32)
    if precision is Precision.INT8:
        return _int8_product(left, right - 0.5, threads)
    kind = torch.bfloat16 if precision is Precision.BFLOAT16 else torch.float32
    pair = torch.from_numpy(left).to(kind), torch.from_numpy(right).to(kind)

    def product() -> FloatArray:
        torch.set_num_threads(threads)
        torch.mm(*pair)
        return left

    return product


def _int8_product(left: FloatArray, right: FloatArray, threads: int) -> Callable[[], FloatArray]:
    ops = openvino.opset13
    given = ops.parameter(list(left.shape), np.float32, name="given")
    levels = ops.fake_quantize(given, *_levels(0.0, 1.0), levels=256)
    factor = ops.fake_quantize(ops.constant(right), *_levels(-0.5, 0.5), levels=255)
    model = openvino.Model([ops.matmul(levels, factor, False, True)], [given], "product")
    options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    def product() -> FloatArray:
        made: FloatArray = request.infer({"given": left})[0]
        return made

    return product


def _levels(low: float, high: float) -> tuple[FloatArray, ...]:
    return tuple(np.array(value, np.float32) for value in (low, high, low, high))
