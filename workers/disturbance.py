"""Whether others used the machine while something was measured on it.

Three signs, for no one of them is seen everywhere: time of the cores that others took or that the
hypervisor gave away (what a virtual machine and a plain process see), how little of a core this
process got (what a container sees), and how far the same thing differed from round to round.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psutil

from workers.machine import available_times
from workers.machine_load import CpuTimes

MOST_TAKEN = 0.15
"""Of what a measurement works with that others may take before it counts as disturbed: a gateway
that answers health checks takes a tenth of that, a process that takes a core of two a third of all
and more."""
LEAST_SHARE = 0.5
"""Of one core that a measurement must get: it always has something to do, so it gets a whole one
or several where nobody else wants them."""
MOST_SPREAD = 1.4
"""How far the median of several times may lie above the shortest, for half of what is measured."""


class Reading(NamedTuple):
    """Seconds, each since some moment in the past."""

    wall: float
    own: float
    """Of all cores, in which this process ran."""
    cores: CpuTimes
    """Of those cores that this process may use."""


class Usage(NamedTuple):
    """Who used those cores meanwhile, in seconds of all of them together."""

    wall: float = 0.0
    """Of the clock."""
    own: float = 0.0
    others: float = 0.0
    stolen: float = 0.0
    """By the hypervisor, for other machines."""
    total: float = 0.0

    def plus(self, other: Usage) -> Usage:
        return Usage(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True)
class Needs:
    """What a measurement needs of the machine."""

    threads: float
    """That compute at once, if there are so many cores; 0 where a GPU does, and all wait for it."""

    def disturbance(self, usage: Usage, times_ms: Iterable[Sequence[float]] = ()) -> str | None:
        """Return in words what disturbed a measurement that took `usage`, and in which each thing
        took `times_ms`, round by round; None when it was left in peace."""
        told = (self.crowded(usage), self._of_share(usage), _of_spread(times_ms))
        return "; ".join(filter(None, told)) or None

    def crowded(self, usage: Usage) -> str | None:
        """Return in words what others took of the cores that are needed; None when it was little.

        Cores that nobody needs here they may have. A hypervisor takes those that run.
        """
        if usage.wall <= 0 or usage.total <= 0:  # a system that does not tell
            return None
        cores = usage.total / usage.wall
        threads = min(max(self.threads, 1), cores)
        others, stolen = usage.others / usage.wall, usage.stolen / usage.wall
        taken = max(0.0, others - (cores - threads)) + stolen
        if taken <= MOST_TAKEN * threads:
            return None
        return f"others took {others:.1f} of {cores:.0f} cores, the hypervisor {stolen:.1f}"

    def _of_share(self, usage: Usage) -> str | None:
        if self.threads == 0 or usage.own >= LEAST_SHARE * usage.wall:
            return None
        return f"this worker got {100 * usage.own / usage.wall:.0f} % of a core"


ALL_CORES = Needs(math.inf)


def _of_spread(times_ms: Iterable[Sequence[float]]) -> str | None:
    spreads = [statistics.median(times) / min(times) for times in times_ms if len(times) > 2]
    spread = statistics.median(spreads) if spreads else 1.0
    return f"the same took {spread:.1f} times as long" if spread > MOST_SPREAD else None


def read_usage() -> Reading:
    """Read clock and counters; no core's, where the system does not tell them."""
    try:
        cores = available_times()
    except (OSError, psutil.Error):
        cores = CpuTimes(0.0, 0.0, 0.0)
    return Reading(time.perf_counter(), time.process_time(), cores)


def used(before: Reading, after: Reading) -> Usage:
    """Return who used the machine between two readings."""
    total, busy, stolen = (b - a for a, b in zip(before.cores, after.cores, strict=True))
    own = after.own - before.own
    # What others took may be negative for a moment: the counters of cores go by ticks.
    others = busy - own if total > 0 else 0.0
    return Usage(after.wall - before.wall, own, others, stolen, total)


class Meter:
    """Adds up who used the machine during some calls."""

    def __init__(self, read: Callable[[], Reading] = read_usage) -> None:
        self._read = read
        self.usage = Usage()
        self.last = Usage()
        """During the last of them."""

    def during(self, call: Callable[[], float]) -> float:
        """Return what a call returns, and count its time."""
        before = self._read()
        answer = call()
        self.last = used(before, self._read())
        self.usage = self.usage.plus(self.last)
        return answer
