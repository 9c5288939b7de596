"""What gateway and queue add to a worker's time: measured with each answer, and followed."""

from __future__ import annotations

import math

MISSED, KEPT = 0.2 * 0.95, 0.2 * 0.05
"""How far it moves when an answer took longer and when it did not: it stands still where one of
twenty does (adaptive conformal inference, Gibbs and Candes 2021, on the logarithm)."""
LEAST_MS, MOST_MS = 1.0, 1000.0


class Overhead:
    """The milliseconds that nineteen of twenty answers take beyond waiting and running.

    On a machine whose cores the workers fill, a burst of requests makes them several times what
    they are on an idle one.
    """

    def __init__(self, first_ms: float) -> None:
        self.ms = min(max(first_ms, LEAST_MS), MOST_MS)

    def observe(self, ms: float) -> None:
        """Take in what one answer took."""
        moved = self.ms * math.exp(MISSED if ms > self.ms else -KEPT)
        self.ms = min(max(moved, LEAST_MS), MOST_MS)
