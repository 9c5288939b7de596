"""Training throughput and the device's peak: steps, images and FLOP per second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode


def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a large matrix product: the best of half a second of trials."""
    side, repeats = (8192, 10) if device.type == "cuda" else (512, 1)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    stop_at = time.perf_counter() + 0.5
    while best == float("inf") or time.perf_counter() < stop_at:
        _wait(device)
        since = time.perf_counter()
        for _ in range(repeats):
            torch.matmul(a, b)
        _wait(device)
        best = min(best, (time.perf_counter() - since) / repeats)
    return 2.0 * side**3 / best


def count_flops(run: Callable[[], Tensor]) -> tuple[float, float]:
    """Return the FLOP of `run` and of its backward pass: convolutions and matrix products, a
    multiply-add as two. `run` may work on the meta device, so that nothing is computed."""
    with FlopCounterMode(display=False) as counter:
        output = run()
        forward = counter.get_total_flops()
        output.sum().backward()  # type: ignore[no-untyped-call]
    return float(forward), float(counter.get_total_flops() - forward)


@dataclass(frozen=True)
class Step:
    """One step: its loss (on the device), number of images and FLOP."""

    loss: Tensor
    images: int
    flops: float


class Meter:
    """Accumulates steps, and reads their loss off the device only in `read`.

    peak: FLOP/s of the device, as `measured_peak` gives it.
    """

    def __init__(self, peak: float) -> None:
        self._peak = peak
        self._loss = torch.zeros(())
        self._steps, self._images, self._flops = 0, 0, 0.0
        self._since = time.monotonic()

    def add(self, step: Step) -> None:
        """Count one step; its loss stays on the device, so the host does not wait."""
        self._loss = self._loss.to(step.loss.device) + step.loss
        self._steps += 1
        self._images += step.images
        self._flops += step.flops

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time inside the block."""
        since = time.monotonic()
        yield
        self._since += time.monotonic() - since

    def read(self) -> dict[str, Any]:
        """Return the means since the last reading, and reset."""
        loss = float(self._loss) / max(1, self._steps)  # the host waits for the device here
        seconds = time.monotonic() - self._since
        rate = self._flops / seconds
        facts = {
            "loss": loss,
            "steps_per_s": self._steps / seconds,
            "images_per_s": self._images / seconds,
            "tflop_per_s": rate / 1e12,
            "of_peak": rate / self._peak,
        }
        self._loss = torch.zeros(())
        self._steps, self._images, self._flops = 0, 0, 0.0
        self._since = time.monotonic()
        return facts


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
