"""The workers of a simulation: how many, how their runs deviate, and when they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduling.simulation.autoscaling import Autoscaler
from scheduling.simulation.strategies import BATCH_GAIN


@dataclass(frozen=True)
class SimulatedWorkers:
    """The workers of a simulation, and when they become slower, die or come back."""

    workers: int = 4
    deviation: float = 0.1
    """Standard deviation of the logarithm of actual / predicted."""
    delay_ms: float = 0.0
    """Mean delay of a run by what else the machine does, in ms; drawn from the exponential
    distribution. Predictions contain the mean."""
    batch_gain: float = BATCH_GAIN
    seed: int = 2
    slow: Sequence[tuple[float, int, float]] = ()
    """(time in ms, worker, slowdown from its next run on). With an infinite slowdown the worker
    dies at once and its job runs again; with a finite one after that it comes back."""
    shards: int = 1
    """Queues among which jobs and workers are divided (`simulation.shard`); at most `workers`."""
    autoscaler: Autoscaler | None = None
    """Starts and stops workers, which then neither slow down nor die; `workers` is not used."""

    def __post_init__(self) -> None:
        if self.autoscaler and self.slow:
            raise ValueError("workers that are started and stopped cannot slow down or die")
        if not 1 <= self.shards <= (1 if self.autoscaler else self.workers):
            raise ValueError("each shard needs a worker of its own that stays")

    def factors(self, count: int) -> NDArray[np.float64]:
        """Return (count,) ratios of actual to predicted cost on a worker at full speed."""
        random = np.random.default_rng(self.seed)
        factors: NDArray[np.float64] = np.exp(random.normal(0, self.deviation, count))
        return factors

    def delays(self, count: int) -> NDArray[np.float64]:
        """Return (count,) ms by which the delay of a run differs from the mean."""
        random = np.random.default_rng(self.seed + 1_000_000)
        delays: NDArray[np.float64] = random.exponential(self.delay_ms, count) - self.delay_ms
        return delays
