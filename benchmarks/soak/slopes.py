"""Growth of resident memory after the first quarter: the Theil-Sen slope of what was sampled.

Under load a worker has now 0.5 GB and now 2, as pictures and models come: growth shows there once
its interval of confidence is above the limit. At the ends of rests it has what it keeps, and a
slope is known to a fraction of a percent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from benchmarks.soak.plan import Phase, Plan
from benchmarks.soak.processes import ProcessSample
from benchmarks.soak.samples import Moment

MOST_PERCENT = 1.0
"""Growth an hour that is none."""
CONFIDENCE = 0.95
FEWEST = 4
"""Fewer samples have no slope."""
HOUR_S = 3600.0
NAMES = {Phase.LOAD.value: "under load", Phase.SETTLED.value: "at rest"}


@dataclass(frozen=True)
class Slope:
    """Of the processes of one role in one phase; percent an hour of their median."""

    role: str
    phase: str
    samples: int
    median_mb: float
    percent: float
    low: float
    high: float
    """Bounds of the interval of CONFIDENCE."""

    def __str__(self) -> str:
        name = f"{self.role}, {NAMES[self.phase]}"
        return f"memory of {name}: {self.percent:+.2f} % an hour"

    @property
    def broken(self) -> bool:
        """Whether memory grows."""
        least = self.low if self.phase == Phase.LOAD else self.percent
        return least > MOST_PERCENT


def slopes_of(plan: Plan, processes: Sequence[Moment[ProcessSample]]) -> list[Slope]:
    """Return the slopes of each role, under load and at rest; of several processes at once, of
    their sum. The first rest belongs to what comes after it."""
    sums = defaultdict[tuple[str, str], dict[float, float]](lambda: defaultdict(float))
    for moment in processes:
        since_s = plan.quarter_s - (plan.settled_s if moment.phase == Phase.SETTLED else 0)
        if moment.phase in NAMES and moment.at_s >= since_s:
            sums[moment.sample.role, moment.phase][moment.at_s] += moment.sample.rss / 1e6
    return [_slope(*of, list(sums[of].items())) for of in sorted(sums) if _tells(plan, sums[of])]


def _tells(plan: Plan, points: Iterable[float]) -> bool:
    """Return whether moments are enough for a slope: also more than one rest."""
    moments = list(points)
    quarters = {plan.quarter_at(at_s) for at_s in moments}
    return len(moments) >= FEWEST and (plan.phase_at(moments[0]) is Phase.LOAD or len(quarters) > 1)


def _slope(role: str, phase: str, points: list[tuple[float, float]]) -> Slope:
    at_s, megabytes = np.array(points).T
    middle = float(np.median(megabytes))
    found = theilslopes(megabytes, at_s / HOUR_S, CONFIDENCE)
    percent, low, high = (
        100 * float(slope) / middle for slope in (found[0], found.low_slope, found.high_slope)
    )
    return Slope(role, phase, len(points), middle, percent, low, high)
