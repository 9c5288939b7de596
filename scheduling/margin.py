"""The margin on a prediction, from the last runs and what was predicted for them."""

from __future__ import annotations

import heapq
from collections import deque

RUNS = 100
"""Number of recent runs from which the margin is computed. The next run stays below the second
largest of their ratios in 98 of 100 cases (a conformal quantile, Vovk et al. 2005)."""
LEAST_MARGIN, MOST_MARGIN = 1.01, 10.0


def no_runs() -> deque[float]:
    """Return room for the margins that would have been enough for the last runs."""
    return deque(maxlen=RUNS)


def margin_over(needed: deque[float]) -> float:
    """Return the margin that forty-nine of fifty runs stay below, by what the last ones needed."""
    _, second = heapq.nlargest(2, needed)
    return min(max(second, LEAST_MARGIN), MOST_MARGIN)
