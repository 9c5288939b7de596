"""What the widths of a picture are worth: the quality that each adds, for the time that it takes.

At a price of worker time, in dB for a ms, a picture takes the widest option whose last ms gains as
much. Where all pictures pay one price, no ms would gain more in another one, so their mean quality
is the best for their time (the multiplier of Everett, Operations Research 1963). Equal stretch
would be that only for pictures of one size: twice the cost of a small picture buys the same dB in
a fraction of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from scheduling.options import Option, Options


@dataclass(frozen=True)
class Worth:
    """Options of a picture and the gain of each."""

    options: Options
    """Networks, narrowest first, each better than those before it; at least one."""
    gains: tuple[float, ...]
    """dB for a ms by which each is better than any narrower one, at least; infinite for the
    narrowest."""

    @classmethod
    def of(cls, options: Options) -> Self:
        """Return the worth of options, of which each costs and gives more than those before it."""
        values = _values(options)
        costs = [option.expected_ms for option in options]
        gains = (
            min(_slopes(costs[: n + 1], values[: n + 1]), default=math.inf)
            for n in range(len(options))
        )
        return cls(options, tuple(gains))

    def gain_of(self, option: Option) -> float:
        """Return the gain of one of the options."""
        return self.gains[self.options.index(option)]

    def stretch_at(self, price: float) -> float:
        """Return the cost of the widest option that is worth `price` dB for a ms, over that of the
        narrowest."""
        (cost_ms,) = self.costs_at((price,))
        return cost_ms / self.options[0].expected_ms

    def costs_at(self, prices: Sequence[float]) -> list[float]:
        """Return for each of some rising prices, in dB for a ms, the cost in ms of the widest
        option that is worth it."""
        costs, wide = [], len(self.options) - 1
        for price in prices:
            while self.gains[wide] < price:
                wide -= 1
            costs.append(self.options[wide].expected_ms)
        return costs


def _values(options: Options) -> list[float]:
    """Return the expected qualities in dB. Where one was not measured, the logarithm of the cost
    stands for all: twice the time is worth as much to each picture."""
    known = [option.db for option in options if option.db is not None]
    return known if len(known) == len(options) else [math.log(o.expected_ms) for o in options]


def _slopes(costs: list[float], values: list[float]) -> Iterator[float]:
    """Yield what the last of some options gains for each ms over those that cost less."""
    for cost, value in zip(costs[:-1], values[:-1], strict=True):
        if cost < costs[-1]:
            yield (values[-1] - value) / (costs[-1] - cost)
