"""Backlog arithmetic: waiting time, longest run and stretch for a new run.

Waiting jobs are summed up in groups, so a decision costs the same for ten jobs or ten thousand.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from jobs.backlog import Backlog, ClientLoad, Group, Run
from scheduling.mix import Mix

SLOT_MS = 50.0
"""Jobs whose latest start lies in the same slot form one group, dated by the slot's beginning."""

DEMAND_MS = 10_000.0
"""Time constant over which incoming work is averaged: the length of a burst. Tuned, like
`PRIOR_MS`, with `anysr simulate`; jobs/lua/shared/backlog.lua uses the same numbers."""
PRIOR_MS = 500.0
"""Added to the time in which others waited, because a rate over a shorter time is noise."""


LONG_MS, YIELD_MS, REMAINING = 100.0, 50.0, 1.5
"""A run that still takes LONG_MS gives way within YIELD_MS to jobs that cannot wait for its end. It
then counts as one more waiting job, at REMAINING times its cost; see `yielding`."""


@dataclass(frozen=True)
class Load:
    """The other jobs, as far as a decision depends on them. Times are of the queue's clock."""

    now_ms: float
    workers: int
    """Live workers, including the deciding one."""
    running: Sequence[float] = ()
    """Predicted ends of the other runs in progress."""
    waiting: Sequence[Group] = ()
    """Earliest latest start first."""
    demand: float = 0.0
    """Narrowest-network ms of new work per ms, while others wait; see `Demand`."""
    demand_slack_ms: float = float("inf")
    """Harmonic mean of how long that work can wait."""
    yielding: int = 0
    """How many of the waiting groups are runs that give way."""
    own: ClientLoad | None = None
    """What of it is of the client whose job is decided on, while others are active."""
    mix: Mix | None = None
    """Recent pictures, which stand for the other jobs; without any, all are like the one that is
    decided on."""
    spare_ms: float = math.inf
    """For how long the worker can be kept from a run that it has suspended. It alone can finish
    that, so free time of the others does not count."""
    rescues: bool = True
    """Whether the worker can interrupt a run that takes too long, to resample its picture."""

    @classmethod
    def of(cls, backlog: Backlog, workers: int, free: int = 0, mix: Mix | None = None) -> Self:
        """Return the load of a backlog with `workers` live workers, of which `free` do none of its
        runs. If the backlog has more runs than the others could do, their number counts instead."""
        return cls(
            backlog.now_ms,
            max(workers, free + len(backlog.running)),
            backlog.running,
            backlog.waiting,
            backlog.demand,
            backlog.demand_slack_ms,
            own=backlog.own,
            mix=mix,
        )

    @classmethod
    def at_arrival(cls, backlog: Backlog, workers: int, small: bool) -> Self:
        """Return the load that a new job meets in the queue, small or not (`Job.small`): runs that
        can give way to it count as waiting jobs, and their workers as free.

        By jobs/lua/shared/lateness.lua, by which the queue decides; tests compare the two.
        """
        now_ms, free, suspended = backlog.now_ms, list[float](), list[Group]()
        for run in backlog.runs:
            end_ms, remaining = max(now_ms, run.end_ms), yielding(run, now_ms, small)
            free.append(end_ms if remaining is None else now_ms + YIELD_MS)
            suspended += [] if remaining is None else [remaining]
        waiting = tuple(sorted((*backlog.waiting, *suspended)))
        backlog = replace(backlog, running=tuple(sorted(free)), waiting=waiting)
        return replace(cls.of(backlog, workers), yielding=len(suspended))

    @property
    def contended(self) -> bool:
        """Whether a run that begins now shares its machine: jobs are waiting, or more than half of
        the other workers are running."""
        return len(self.waiting) > self.yielding or 2 * len(self.running) > self.workers - 1


@dataclass(frozen=True)
class RunLimits:
    """Limits that the waiting jobs set to a run that begins now."""

    longest_ms: float
    """The longest run that leaves all waiting jobs in time at their cheapest cost. Infinite when
    none waits; negative when one is already too late."""
    longest_harmless_ms: float
    """The longest run that makes no job late which could still be in time: `longest_ms` without the
    jobs that are already too late. Never negative."""
    work: Sequence[tuple[float, float]]
    """(ms of narrowest networks that are due at a moment or before, free worker ms until then)."""

    def longest_at(self, stretch: float, part: float = 1.0) -> float:
        """Return the longest run behind which the waiting jobs, each at `stretch` times the cost of
        its narrowest network, could be done in a part of the free worker time; infinite when none
        waits.

        Work due over time until then is the density by which the optimal schedule of the known jobs
        runs them all (Yao, Demers and Shenker, FOCS 1995: "optimal available").
        """
        left = (part * free_ms - stretch * network_ms for network_ms, free_ms in self.work)
        return min(left, default=float("inf"))


def run_limits(
    load: Load, from_ms: float = float("-inf"), one_worker: bool = False, part: float = 1.0
) -> RunLimits:
    """Return the limits for a run.

    Jobs with a latest start up to `from_ms` set no limit; their work still delays the others. With
    `one_worker`, jobs for which the other workers have time enough set no limit to `longest_ms`,
    however long this run keeps its own one. With a `part`, the jobs have so much of the workers.
    """
    ends = sorted([max(end, load.now_ms) for end in load.running])
    # Free worker time until a moment: workers * moment - taken.
    workers = load.workers - len(ends)
    taken = workers * load.now_ms
    ends.append(float("inf"))
    following = ends.pop(0)
    longest = harmless = float("inf")
    cheapest = network = 0.0
    work: list[tuple[float, float]] = []
    for latest_start, cheapest_ms, group_network_ms, last_ms in load.waiting:
        while following < latest_start:
            workers += 1
            taken += following
            following = ends.pop(0)
        network += group_network_ms
        if latest_start > from_ms:
            # The first of a group must have started when its slot begins, the last when it ends.
            # Where the cost of the last is not known, it must even have ended by then.
            free = part * (workers * latest_start - taken)
            over = free + workers * SLOT_MS + last_ms
            spare = free if free < over - cheapest_ms else over - cheapest_ms
            left = spare - cheapest
            if left < longest and not (one_worker and left >= latest_start + SLOT_MS - load.now_ms):
                longest = left
            if 0 <= left < harmless:
                harmless = left
            work.append((network, over))
        cheapest += cheapest_ms
    return RunLimits(longest, harmless, work)


def below_part(load: Load) -> bool:
    """Return whether the deciding client has used less than its part of the workers lately, while
    other clients are active."""
    return load.own is not None and load.own.used < load.own.part * load.workers


def yielding(run: Run, now_ms: float, small: bool) -> Group | None:
    """Return what remains of a run that can give way to a job, small or not, as waiting work; None
    for one that cannot.

    A run gives way to any job between two tiles of its network. One that has no time for a network
    gives way to small jobs alone, while it is decoded, resampled and encoded.
    """
    end_ms, soonest_ms = max(now_ms, run.end_ms), now_ms + YIELD_MS
    remaining_ms = REMAINING * run.narrowest_ms
    if small and (remaining_ms <= 0 or run.due_ms - remaining_ms <= soonest_ms):
        remaining_ms = REMAINING * (end_ms - now_ms)
    start_ms = run.due_ms - remaining_ms
    if end_ms <= now_ms + LONG_MS or remaining_ms <= 0 or start_ms <= soonest_ms:
        return None
    return Group(start_ms, remaining_ms, remaining_ms)


def wait_ms(load: Load, latest_start_ms: float) -> float:
    """Return the ms until a new job would begin, with all jobs before it at their cheapest cost.

    It is the level to which their work fills the workers above the ends of the current runs;
    infinite without workers.
    """
    work = 0.0
    for group_start_ms, cheapest_ms, *_ in load.waiting:
        if group_start_ms > latest_start_ms:
            break
        work += cheapest_ms
    idle = load.workers - len(load.running)
    free = [0.0] * idle + sorted(max(0.0, end - load.now_ms) for end in load.running)
    if not free:
        return float("inf")
    level = free[0]
    for filled, following in enumerate(free[1:], start=1):
        if (following - level) * filled >= work:
            return level + work / filled
        work -= (following - level) * filled
        level = following
    return level + work / len(free)


class Demand:
    """Rate of incoming work, estimated from what comes while other jobs wait.

    Callers who wait for each answer before they send the next picture never lengthen the queue,
    because they send nothing while their own job waits. Other callers come at the same rate then
    as at any time, so counting only that time measures their rate.
    """

    def __init__(self) -> None:
        self._work_ms = 0.0
        self._urgency = 0.0
        """Work over the time that it can wait."""
        self._time_ms = 0.0
        """Recent time in which jobs waited; decays like the work."""
        self._at_ms = 0.0

    def pass_time(self, now_ms: float, waiting: bool) -> None:
        """Advance to `now_ms`; `waiting` says whether any job waited since the last call."""
        fade = math.exp((self._at_ms - now_ms) / DEMAND_MS)
        self._work_ms *= fade
        self._urgency *= fade
        self._time_ms = self._time_ms * fade + (DEMAND_MS * (1 - fade) if waiting else 0.0)
        self._at_ms = now_ms

    def add(self, network_ms: float, slack_ms: float) -> None:
        """Count work that came now, while others waited, and can wait `slack_ms` > 0."""
        self._work_ms += network_ms
        self._urgency += network_ms / slack_ms

    def withdraw(self, network_ms: float, slack_ms: float, age_ms: float) -> None:
        """Remove cancelled work that was counted `age_ms` ago."""
        fade = math.exp(-age_ms / DEMAND_MS)
        self._work_ms = max(0.0, self._work_ms - network_ms * fade)
        self._urgency = max(0.0, self._urgency - network_ms / slack_ms * fade)

    @property
    def rate(self) -> float:
        """Narrowest-network ms per ms."""
        return self.rate_of(self._work_ms)

    def rate_of(self, work_ms: float) -> float:
        """Return the rate of a part of the work, as of now."""
        return work_ms / (self._time_ms + PRIOR_MS)

    @property
    def slack_ms(self) -> float:
        """Harmonic mean of how long the work can wait, weighted by work; infinite without any."""
        return self._work_ms / self._urgency if self._urgency > 0 else float("inf")


class Slots:
    """Groups of waiting jobs, updated as jobs come and go."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._groups: list[Group] = []
        self._jobs: dict[float, int] = {}

    def add(self, latest_start_ms: float, cheapest_ms: float, network_ms: float) -> None:
        """Add a waiting job."""
        slot = _slot(latest_start_ms)
        place = bisect.bisect_left(self._starts, slot)
        known = self._jobs.get(slot, 0)
        self._jobs[slot] = known + 1
        if known:
            _, cheapest, network, _ = self._groups[place]
            self._groups[place] = Group(slot, cheapest + cheapest_ms, network + network_ms)
        else:
            self._starts.insert(place, slot)
            self._groups.insert(place, Group(slot, cheapest_ms, network_ms))

    def remove(self, latest_start_ms: float, cheapest_ms: float, network_ms: float) -> None:
        """Remove a job that was added with the same figures. Raises KeyError if there is none."""
        slot = _slot(latest_start_ms)
        left = self._jobs[slot] - 1
        place = bisect.bisect_left(self._starts, slot)
        if left:
            self._jobs[slot] = left
            _, cheapest, network, _ = self._groups[place]
            self._groups[place] = Group(slot, cheapest - cheapest_ms, network - network_ms)
        else:  # an empty group is deleted, so that sums of floats do not drift
            del self._jobs[slot], self._starts[place], self._groups[place]

    def groups(self) -> list[Group]:
        """Return the groups, earliest first."""
        return self._groups.copy()


def _slot(latest_start_ms: float) -> float:
    return SLOT_MS * (latest_start_ms // SLOT_MS)
