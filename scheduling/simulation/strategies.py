"""Scheduling strategies for the simulator: the service's own, and those it is compared with.

A strategy sees what the real policy sees, predictions and the load, and never the future. All of
them share a queue in the order of latest start, and none runs a job that is already too late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from scheduling.load import Load
from scheduling.mix import Mix
from scheduling.options import Options, narrowest_network
from scheduling.policy import bind

BATCH_GAIN = 0.05
"""Part of a run's time that the pictures of a batch share: on a CPU next to nothing."""


@dataclass(frozen=True)
class Case:
    """A claim for which a strategy chooses width and batch."""

    options: Options
    """Options of the job with the earliest latest start, cheapest first."""
    slack_ms: float
    """Time until its deadline; positive."""
    load: Load
    same_kind: int
    """Number of other waiting jobs of the same kind, which could share a batch."""
    worker: int
    """Number of the worker that claims it."""


class Strategy(Protocol):
    """A way to schedule."""

    admission: bool
    """Whether `policy.admit` refuses requests that cannot be met."""
    rescues: bool
    """Whether a picture whose network runs late is resampled before its deadline."""

    def offered(self, options: Options) -> Options:
        """Return the options that this strategy ever uses, at least one."""

    def choose(self, case: Case) -> tuple[int, int]:
        """Return (index of the option, number of jobs of this kind to run in one batch)."""

    def ended(self, met: bool) -> None:
        """Learn whether a picture met its deadline."""


class _Stateless:
    """Uses all options, refuses nothing and learns nothing."""

    admission = False
    rescues = False

    def offered(self, options: Options) -> Options:
        """Return all options."""
        return options

    def ended(self, met: bool) -> None:
        """Do nothing."""


class Ours(_Stateless):
    """The service's own policy, `policy.bind`, with a mix of recent pictures in each worker."""

    admission = True
    rescues = True

    def __init__(self) -> None:
        self._mixes: defaultdict[int, Mix] = defaultdict(Mix)

    def choose(self, case: Case) -> tuple[int, int]:
        mix = self._mixes[case.worker]
        mix.add(case.options)
        decision = bind(case.options, case.slack_ms, replace(case.load, mix=mix))
        return (0 if decision is None else case.options.index(decision.option)), 1


class Greedy(_Stateless):
    """Best option that meets the deadline of the claimed job, whatever waits behind it."""

    def choose(self, case: Case) -> tuple[int, int]:
        return _widest_within(case), 1


@dataclass
class SlackFit(_Stateless):
    """SuperServe (NSDI'25): pairs of width and batch size in buckets of latency. Takes the bucket
    that the slack of the most urgent job allows, in it the largest batch, then the widest."""

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
        possible = [pair for pair in chosen if pair[0] <= 1 + case.same_kind]
        if not possible:
            return _widest_within(case), 1
        batch, index = max(possible)
        return index, batch

    def _table(self, options: Options) -> list[tuple[float, list[tuple[int, int]]]]:
        """Return (longest latency, pairs) of each bucket, rising. The buckets evenly divide the
        range from the cheapest to the widest option; the last one holds all longer pairs."""
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
class Aimd(_Stateless):
    """Clipper (NSDI'17): always the widest network; the batch grows by one with each deadline met
    and shrinks to nine tenths with each one missed."""

    batch: float = 1.0
    largest: float = 64.0

    def offered(self, options: Options) -> Options:
        return options[-1:]

    def choose(self, case: Case) -> tuple[int, int]:
        return 0, min(int(self.batch), 1 + case.same_kind)

    def ended(self, met: bool) -> None:
        self.batch = min(self.largest, self.batch + 1) if met else max(1.0, 0.9 * self.batch)


@dataclass
class Fixed(_Stateless):
    """Always the widest network, or always the narrowest."""

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
"""By name. `widest-admitted` refuses what it cannot meet, by the same admission as `ours`."""


def batch_ms(single_ms: float, size: int, gain: float) -> float:
    """Return the ms of a batch of `size` pictures that share the part `gain` of one run's time."""
    return single_ms * (gain + (1 - gain) * size)


def _widest_within(case: Case) -> int:
    fitting = [i for i, option in enumerate(case.options) if option.safe_ms <= case.slack_ms]
    return fitting[-1] if fitting else 0
