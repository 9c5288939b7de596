"""Latencies of calls, as gathered by one process of a load."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Latencies:
    """The ms of each call, by its name."""

    of: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextlib.contextmanager
    def timed(self, call: str) -> Iterator[None]:
        """Time a call that succeeds."""
        began = time.perf_counter()
        yield
        self.of[call].append((time.perf_counter() - began) * 1e3)

    @classmethod
    def together(cls, parts: Iterable[Latencies]) -> Latencies:
        """Return those of several processes."""
        whole = cls()
        for part in parts:
            for call, values in part.of.items():
                whole.of[call] += values
        return whole

    def p50_p99(self, call: str) -> tuple[float, float]:
        """Return two percentiles of a call in ms; 0 where there was none."""
        p50, p99 = np.percentile(self.of.get(call) or [0.0], (50, 99))
        return float(p50), float(p99)

    def plain(self) -> dict[str, list[float]]:
        """Return what a process sends to another."""
        return dict(self.of)
