"""Overhead: time that gateway and queue add to a worker's run, estimated from each answer."""

from __future__ import annotations

import math

MISSED, KEPT = 0.2 * 0.98, 0.2 * 0.02
"""Steps of the logarithm up when an answer took longer and down when it did not: balanced where one
of fifty takes longer (adaptive conformal inference, Gibbs and Candes 2021)."""
LEAST_MS, MOST_MS = 1.0, 1000.0


class Overhead:
    """Milliseconds beyond waiting and running that forty-nine of fifty answers stay below.

    On a machine whose cores the workers fill, a burst makes it several times the idle value.
    """

    def __init__(self, first_ms: float) -> None:
        self.ms = min(max(first_ms, LEAST_MS), MOST_MS)

    def observe(self, ms: float) -> None:
        """Update the estimate from the overhead of one answer."""
        moved = self.ms * math.exp(MISSED if ms > self.ms else -KEPT)
        self.ms = min(max(moved, LEAST_MS), MOST_MS)
