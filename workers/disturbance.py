"""Detection of other load on the machine during a measurement.

There are three signs, because none is visible everywhere: core time of other processes or of the
hypervisor (visible to virtual machines and plain processes), a small share of a core for this
process (visible to containers), and a large spread of the times of one thing from round to round.
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

MAX_TAKEN = 0.15
"""Part of the needed cores that others may take before a measurement counts as disturbed. A gateway
that answers health checks takes a tenth of that; a process that keeps one of two cores busy takes a
third of all and more."""
MIN_SHARE = 0.5
"""Cores that a measurement must get: it never sleeps, so it gets one or more on an idle machine."""
MAX_SPREAD = 1.4
"""Ratio of the median time to the shortest, in the median over all things measured."""


class Reading(NamedTuple):
    """Seconds, each since an arbitrary moment."""

    wall: float
    own: float
    """This process ran, summed over all cores."""
    cores: CpuTimes
    """Counters of the cores that this process may use."""


class Usage(NamedTuple):
    """Use of those cores between two readings, in seconds summed over them."""

    wall: float = 0.0
    """Elapsed time."""
    own: float = 0.0
    others: float = 0.0
    stolen: float = 0.0
    """Given to other machines by the hypervisor."""
    total: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True)
class Needs:
    """The part of the machine that a measurement needs."""

    threads: float
    """Threads that compute at once, on as many cores; 0 where they wait for a GPU."""

    def disturbance(self, usage: Usage, times_ms: Iterable[Sequence[float]] = ()) -> str | None:
        """Describe what disturbed a measurement with this `usage`, in which each thing took
        `times_ms` round by round; return None if nothing did."""
        signs = (self.crowded(usage), self._small_share(usage), _large_spread(times_ms))
        return "; ".join(filter(None, signs)) or None

    def crowded(self, usage: Usage) -> str | None:
        """Describe what others took of the needed cores; return None if it was little.

        Others may use cores beyond those. Time of the hypervisor always counts.
        """
        if usage.wall <= 0 or usage.total <= 0:  # a system without counters
            return None
        cores = usage.total / usage.wall
        threads = min(max(self.threads, 1), cores)
        others, stolen = usage.others / usage.wall, usage.stolen / usage.wall
        taken = max(0.0, others - (cores - threads)) + stolen
        if taken <= MAX_TAKEN * threads:
            return None
        return f"others took {others:.1f} of {cores:.0f} cores, the hypervisor {stolen:.1f}"

    def _small_share(self, usage: Usage) -> str | None:
        if self.threads == 0 or usage.own >= MIN_SHARE * usage.wall:
            return None
        return f"this worker got {100 * usage.own / usage.wall:.0f} % of a core"


ALL_CORES = Needs(math.inf)


def _large_spread(times_ms: Iterable[Sequence[float]]) -> str | None:
    spreads = [statistics.median(times) / min(times) for times in times_ms if len(times) > 2]
    spread = statistics.median(spreads) if spreads else 1.0
    return f"the same took {spread:.1f} times as long" if spread > MAX_SPREAD else None


def read_usage() -> Reading:
    """Read clock and counters; those of cores are zero on systems without them."""
    try:
        cores = available_times()
    except (OSError, psutil.Error):
        cores = CpuTimes(0.0, 0.0, 0.0)
    return Reading(time.perf_counter(), time.process_time(), cores)


def used(before: Reading, after: Reading) -> Usage:
    """Return the use of the machine between two readings."""
    total, busy, stolen = (b - a for a, b in zip(before.cores, after.cores, strict=True))
    own = after.own - before.own
    # May be slightly negative, because the counters of cores advance in ticks.
    others = busy - own if total > 0 else 0.0
    return Usage(after.wall - before.wall, own, others, stolen, total)


class Meter:
    """Adds up the use of the machine during some calls."""

    def __init__(self, read: Callable[[], Reading] = read_usage) -> None:
        self._read = read
        self.usage = Usage()
        self.last = Usage()
        """During the last call."""

    def during(self, call: Callable[[], float]) -> float:
        """Return the result of a call, and add its usage."""
        before = self._read()
        answer = call()
        self.last = used(before, self._read())
        self.usage = self.usage.plus(self.last)
        return answer
