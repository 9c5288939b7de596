"""How much slower than calibrated a kind of stage runs, estimated from the runs observed.

A slowdown and a delay: a busy machine delays short runs by as many ms as long ones, up to a few
times their own length, so runs of 20 ms alone cannot predict how much longer a run of 500 ms takes.
The estimate follows a machine that becomes slower at once, at all sizes; a single outlier moves it
by a bounded step only.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_GAIN = 0.3
"""Weight of one observation in the estimate, once there are a few. The first ones are averaged; the
calibration counts as one of them unless other processes disturbed it."""

SHORT_MS = 100.0
"""A run of this length moves slowdown and delay alike; a shorter one moves the delay more, a longer
one the slowdown."""
MOST_DELAY_RATIO = 3.0
"""Largest delay of a stage, as a multiple of its running time: a network that gives way to a busy
gateway still gets a quarter of a core."""
MOST_DELAY_MS = 500.0
LEAST_SLOWDOWN = 0.05

MOST_STEP = 2.0
"""Largest factor by which one observation may differ from the expected value, up or down; what
lies beyond is clipped."""

CHANGE_FACTOR = 1.25
CHANGE_RUNS = 3
"""If so many observations in a row are all this factor above the expected value, or all this factor
below it, the machine has changed: earlier observations no longer count."""


@dataclass
class Observations:
    """Observations behind an estimate, counted for the weight of the next one."""

    count: int
    """Observations since the machine last changed."""
    far: int = 0
    """Length of the current row of observations far above the estimate; negative: far below."""

    def gain(self, ratio: float) -> float:
        """Count an observation of `ratio` times the expected value; return its weight, 0 to 1."""
        side = (ratio > CHANGE_FACTOR) - (ratio < 1 / CHANGE_FACTOR)
        self.far = side + (self.far if self.far * side > 0 else 0)
        if abs(self.far) >= CHANGE_RUNS:
            self.count = self.far = 0
        self.count += 1
        return max(LEAST_GAIN, 1 / self.count)


def slowed_ms(quiet_ms: float, slowdown: float, delay_ms: float) -> float:
    """Return the expected ms of a stage whose calibrated cost is `quiet_ms`: that times the
    slowdown, plus the delay."""
    running_ms = slowdown * quiet_ms
    return running_ms + min(delay_ms, MOST_DELAY_RATIO * running_ms)


def moved(
    slowdown: float, delay_ms: float, quiet_ms: float, actual_ms: float, gain: float
) -> tuple[float, float]:
    """Return slowdown and delay after a run of `actual_ms`, weighted by `gain` from 0 to 1."""
    expected_ms = slowed_ms(quiet_ms, slowdown, delay_ms)
    bounded_ms = min(max(actual_ms, expected_ms / MOST_STEP), expected_ms * MOST_STEP)
    moved_ms = gain * (bounded_ms - expected_ms)
    delayed_ms = max(moved_ms * SHORT_MS / (SHORT_MS + quiet_ms), -delay_ms)
    slowdown += (moved_ms - delayed_ms) / quiet_ms
    return max(slowdown, LEAST_SLOWDOWN), min(delay_ms + delayed_ms, MOST_DELAY_MS)
