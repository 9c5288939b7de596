"""Growth of resident memory after the first quarter: the Theil-Sen slope of what was sampled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from benchmarks.soak.plan import Phase, Plan
from benchmarks.soak.processes import ProcessSample
from benchmarks.soak.samples import Moment

MOST_PERCENT = 1.0
"""Growth an hour that is none."""
CONFIDENCE = 0.95
FEWEST = 10
"""Fewer samples have no slope."""
HOUR_S = 3600.0


@dataclass(frozen=True)
class Slope:
    """Of the processes of one role; percent an hour of their median."""

    role: str
    samples: int
    median_mb: float
    percent: float
    low: float
    high: float
    """Bounds of the interval of CONFIDENCE."""

    def __str__(self) -> str:
        return f"memory of {self.role} grows by {self.percent:.2f} % an hour"

    @property
    def broken(self) -> bool:
        """Whether memory grows."""
        return self.percent > MOST_PERCENT


def slopes_of(plan: Plan, processes: Sequence[Moment[ProcessSample]]) -> list[Slope]:
    """Return the slope of each role under load; of several processes at once, of their sum."""
    sums = defaultdict[str, dict[float, float]](lambda: defaultdict(float))
    for moment in processes:
        if moment.phase == Phase.LOAD and moment.at_s >= plan.quarter_s:
            sums[moment.sample.role][moment.at_s] += moment.sample.rss / 1e6
    return [_slope(role, list(sums[role].items())) for role in sums if len(sums[role]) >= FEWEST]


def _slope(role: str, points: list[tuple[float, float]]) -> Slope:
    at_s, megabytes = np.array(points).T
    middle = float(np.median(megabytes))
    found = theilslopes(megabytes, at_s / HOUR_S, CONFIDENCE)
    percent, low, high = (
        100 * float(slope) / middle for slope in (found[0], found.low_slope, found.high_slope)
    )
    return Slope(role, len(points), middle, percent, low, high)
