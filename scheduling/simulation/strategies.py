"""Ways to schedule, side by side in the simulator: ours, and those that it is compared with.

A strategy sees what the real policy sees: predictions and the load, never what will happen.
Every one's queue is in the order of latest start, and none runs what is too late already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from scheduling.backlog import Load
from scheduling.options import Option, narrowest_network
from scheduling.policy import bind

Options = tuple[Option, ...]

BATCH_GAIN = 0.05
"""Part of a run's time that all of a batch share: on a CPU next to nothing."""


@dataclass(frozen=True)
class Case:
    """A claim that a strategy decides."""

    options: Options
    """Of the job that must start first, cheapest first."""
    slack_ms: float
    """Positive."""
    load: Load
    alike: int
    """How many more jobs of the same kind wait."""


class Strategy(Protocol):
    """What the simulator asks."""

    admission: bool
    """Whether requests that cannot be met are refused when they come, by `policy.admit`."""

    def offered(self, options: Options) -> Options:
        """Return those of a request's options that this strategy ever uses, at least one."""

    def choose(self, case: Case) -> tuple[int, int]:
        """Return (which option, how many jobs of this kind to run in one batch)."""

    def ended(self, met: bool) -> None:
        """Hear whether a picture met its deadline."""


class _Plain:
    """Takes all options, refuses nothing and learns nothing."""

    admission = False

    def offered(self, options: Options) -> Options:
        return options

    def ended(self, met: bool) -> None:
        """Learn nothing."""


class Ours(_Plain):
    """The policy of the service itself."""

    admission = True

    def choose(self, case: Case) -> tuple[int, int]:
        decision = bind(case.options, case.slack_ms, case.load)
        return (0 if decision is None else case.options.index(decision.option)), 1


class Greedy(_Plain):
    """The best option that meets the deadline of the job in hand, whatever waits."""

    def choose(self, case: Case) -> tuple[int, int]:
        return _widest_within(case), 1


@dataclass
class SlackFit(_Plain):
    """SuperServe (NSDI'25): all pairs of width and batch in buckets of latency; the bucket that
    the slack of the most urgent job allows, and in it the largest batch, then the widest."""

    batch_gain: float = BATCH_GAIN
    buckets: int = 16
    largest: int = 16
    _tables: dict[Options, list[tuple[float, list[tuple[int, int]]]]] = field(default_factory=dict)

    def choose(self, case: Case) -> tuple[int, int]:
        table = self._tables.get(case.options)
        if table is None:
            table = self._tables[case.options] = self._table(case.options)
        chosen: list[tuple[int, int]] = []
        for latency_ms, pairs in table:
            if latency_ms <= case.slack_ms:
                chosen = pairs
        possible = [pair for pair in chosen if pair[0] <= 1 + case.alike]
        if not possible:
            return _widest_within(case), 1
        batch, index = max(possible)
        return index, batch

    def _table(self, options: Options) -> list[tuple[float, list[tuple[int, int]]]]:
        """Return (longest latency, pairs) of each bucket, rising. The buckets divide evenly what
        lies between the cheapest and the widest option; the last holds what is beyond."""
        pairs = sorted(
            (batch_ms(option.safe_ms, size, self.batch_gain), size, index)
            for index, option in enumerate(options)
            for size in range(1, self.largest + 1)
        )
        low, high = pairs[0][0], options[-1].safe_ms
        step = (high - low) / self.buckets or 1.0
        table: dict[int, tuple[float, list[tuple[int, int]]]] = {}
        for latency_ms, size, index in pairs:
            beyond = latency_ms > high
            number = (
                self.buckets if beyond else min(int((latency_ms - low) / step), self.buckets - 1)
            )
            latest, known = table.get(number, (0.0, []))
            table[number] = (max(latest, latency_ms), [*known, (size, index)])
        return [table[number] for number in sorted(table)]


@dataclass
class Aimd(_Plain):
    """Clipper (NSDI'17): the widest network, in batches that grow by one while deadlines are met
    and shrink to nine tenths when one is missed."""

    batch: float = 1.0
    largest: float = 64.0

    def offered(self, options: Options) -> Options:
        return options[-1:]

    def choose(self, case: Case) -> tuple[int, int]:
        return 0, min(int(self.batch), 1 + case.alike)

    def ended(self, met: bool) -> None:
        self.batch = min(self.largest, self.batch + 1) if met else max(1.0, 0.9 * self.batch)


@dataclass
class Fixed(_Plain):
    """Always the same: the widest network, or the narrowest; one that is pinned is both."""

    widest: bool
    admission: bool = False

    def offered(self, options: Options) -> Options:
        return options[-1:] if self.widest else (narrowest_network(options),)

    def choose(self, case: Case) -> tuple[int, int]:  # noqa: ARG002
        return 0, 1


STRATEGIES: dict[str, Callable[[], Strategy]] = {
    "ours": Ours,
    "slackfit": SlackFit,
    "greedy": Greedy,
    "aimd": Aimd,
    "widest": lambda: Fixed(widest=True),
    "widest-admitted": lambda: Fixed(widest=True, admission=True),
    "narrowest": lambda: Fixed(widest=False),
}
"""By name. widest-admitted refuses what it cannot meet, by the same admission as ours."""


def batch_ms(single_ms: float, size: int, gain: float) -> float:
    """Return what a batch takes if `gain` of a single run's time is shared by all of it."""
    return single_ms * (gain + (1 - gain) * size)


def _widest_within(case: Case) -> int:
    fitting = [i for i, option in enumerate(case.options) if option.safe_ms <= case.slack_ms]
    return fitting[-1] if fitting else 0
