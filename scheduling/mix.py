"""The mix of recent pictures: what their widths would cost at each price of worker time.

The queue sums up the work of waiting and incoming jobs by their narrowest networks. The mix says
by which factor such work grows where each picture is as wide as a price pays for. Each worker
estimates it from the jobs that it claims.
"""

from __future__ import annotations

from bisect import bisect_left

from scheduling.options import Options, narrowest_network
from scheduling.worth import Worth

PRICES = tuple(10 ** (n / 12 - 5) for n in range(60))
"""In dB for a ms, rising."""
RECENT = 100
"""Number of jobs that the mix remembers, as a time constant."""


class Mix:
    """Sums over recent pictures; one of long ago counts for less. Runs on several threads may add
    at once: at worst a picture is not counted."""

    def __init__(self) -> None:
        self._sums = 0.0, [0.0] * len(PRICES)
        """Ms of the narrowest networks, and of all pictures at each price."""

    def __bool__(self) -> bool:
        return self._sums[0] > 0

    def add(self, options: Options) -> None:
        """Count a picture by what its caller accepts, at least one option."""
        networks = options[options.index(narrowest_network(options)) :]
        costs = Worth.of(networks).costs_at(PRICES)
        fade, (narrowest_ms, at_ms) = 1 - 1 / RECENT, self._sums
        at_ms = [fade * old + new for old, new in zip(at_ms, costs, strict=True)]
        self._sums = fade * narrowest_ms + networks[0].expected_ms, at_ms

    def stretch_at(self, price: float) -> float:
        """Return by which factor the work of narrowest networks grows at a price, in dB for a ms.
        There must be a picture."""
        narrowest_ms, at_ms = self._sums
        return at_ms[min(bisect_left(PRICES, price), len(PRICES) - 1)] / narrowest_ms
