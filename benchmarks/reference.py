"""Time of AnySR as released, against our networks: one picture, in turn, in one process.

The reference has the structure of the released AnySR (paper and public code): EDSR with 64 channels
and 16 blocks at four widths, and the plain form of SRNO's head, in PyTorch in float32. Its weights
are random, because time does not depend on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch

from models.architectures.network import Network, grid_for
from models.architectures.registry import build_network
from models.catalog import ModelEntry
from models.geometry import axis_grid, output_size
from models.spec import NetworkSpec
from workers.backends import check_picture, choose
from workers.settings import WorkerSettings

RELEASED = NetworkSpec(
    "composed",
    {
        "encoder": {"name": "edsr", "args": {"anysr": {"widths": [32, 44, 57, 64], "pairs": 4}}},
        "head": {"name": "srno", "args": {"plain": True}},
    },
)
WARMING = 1
"""Rounds that do not count."""


@dataclass(frozen=True)
class Comparison:
    """Median ms of a network at one scale, and median ratio of the reference to it over
    neighbouring runs."""

    name: str
    scale: float
    ms: float
    times_as_fast: float


def compare(
    folder: Path,
    entries: Sequence[ModelEntry],
    scales: Sequence[float],
    side: int,
    threads: int,
    repeats: int,
) -> Iterator[Comparison]:
    """Yield the reference at its widest and narrowest width, and each model at its widest, in the
    backend that a worker chooses here."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build_network(RELEASED).eval()
    settings = WorkerSettings(worker_threads=threads)
    chosen = {entry.name: choose(folder, entry, settings) for entry in entries}
    image = check_picture(side, side)
    for scale in scales:
        grid = axis_grid(side, output_size(side, scale))
        calls: dict[str, Callable[[], object]] = {
            "AnySR as released, width 1": _torch_call(network, side, scale, network.widths[-1]),
            "AnySR as released, width 0.5": _torch_call(network, side, scale, network.widths[0]),
        }
        for name, one in chosen.items():
            run = partial(one.session.at(1.0).run, image, grid, grid)
            calls[f"{name}, {one.backend}"] = run
        times: dict[str, list[float]] = {name: [] for name in calls}
        for repeat in range(WARMING + repeats):
            for name, call in calls.items():
                since = time.perf_counter()
                call()
                if repeat >= WARMING:
                    times[name].append(1e3 * (time.perf_counter() - since))
        reference = next(iter(times.values()))
        for name, taken in times.items():
            ratio = median(a / b for a, b in zip(reference, taken, strict=True))
            yield Comparison(name, scale, median(taken), ratio)


def _torch_call(network: Network, side: int, scale: float, channels: int) -> Callable[[], object]:
    grid = axis_grid(side, output_size(side, scale))
    image, positions = torch.from_numpy(check_picture(side, side)), grid_for(network, grid, grid)

    def call() -> object:
        with torch.inference_mode():
            return network(image, positions, channels)

    return call
