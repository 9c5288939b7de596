"""Time of the fast forms of implicit heads, against the plain forms of their papers.

Both run in the same process, in turn, on the same features; a shared machine slows both alike.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from models.architectures.network import grid_tensors
from models.architectures.registry import HEADS
from models.geometry import axis_grid, output_size

FEATURES = 64
FAST = ("liif", "metasr", "srno")
"""Heads with both forms."""


@dataclass(frozen=True)
class HeadTiming:
    """Median ms of both forms at one scale, median ratio of neighbouring runs, and largest
    difference between their outputs, relative to the largest value if that is above 1."""

    head: str
    scale: float
    plain_ms: float
    fast_ms: float
    speed_up: float
    difference: float


def time_heads(
    scales: Sequence[float], side: int = 48, threads: int = 1, repeats: int = 5
) -> Iterator[HeadTiming]:
    """Time every head with both forms on side x side features, with random weights."""
    torch.set_num_threads(threads)
    for name in FAST:
        for scale in scales:
            yield _time_head(name, scale, side, repeats)


@torch.inference_mode()
def _time_head(name: str, scale: float, side: int, repeats: int) -> HeadTiming:
    torch.manual_seed(0)
    heads = [HEADS[name](FEATURES, plain=plain).eval() for plain in (True, False)]
    heads[1].load_state_dict(heads[0].state_dict())
    grid = axis_grid(side, output_size(side, scale))
    inputs = (torch.randn(1, FEATURES, side, side), torch.rand(1, 3, side, side))
    arguments = (*inputs, grid_tensors(grid, grid))
    times: list[list[float]] = [[], []]
    made: list[Tensor] = []
    for repeat in range(repeats + 1):
        made = []
        for head, spent in zip(heads, times, strict=True):
            start = time.perf_counter()
            made.append(head(*arguments))
            if repeat:  # the first round warms caches and the allocator
                spent.append(1e3 * (time.perf_counter() - start))
    ratio = median(a / b for a, b in zip(*times, strict=True))
    difference = float((made[0] - made[1]).abs().max() / made[0].abs().max().clamp(min=1))
    return HeadTiming(name, scale, median(times[0]), median(times[1]), ratio, difference)
