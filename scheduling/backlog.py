"""What waits and what runs, summed up so that a decision costs the same for ten jobs or ten
thousand, and the questions that a decision asks of it."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from jobs.backlog import Backlog, Group

SLOT_MS = 50.0
"""Jobs that must start within the same slot are one group, dated by the slot's beginning."""


DEMAND_MS = 10_000.0
"""Over how long the work that keeps coming is averaged: as long as a burst. Found, as the next,
with `anysr simulate`; jobs/lua/backlog.lua counts by the same numbers."""
PRIOR_MS = 500.0
"""Added to the time in which others waited: what came in a shorter one says little."""


@dataclass(frozen=True)
class Load:
    """All that a decision needs to know of the other jobs. Times are of the queue's clock."""

    now_ms: float
    workers: int
    """Live ones, the deciding one included."""
    running: Sequence[float] = ()
    """Predicted ends of the other runs in progress."""
    waiting: Sequence[Group] = ()
    """Earliest first."""
    inflow: float = 0.0
    """Narrowest-network ms that come per ms while others wait: how much work keeps coming."""
    inflow_slack_ms: float = float("inf")
    """For how long that work can wait, in the mean that counts the short ones most."""

    @classmethod
    def of(cls, backlog: Backlog, workers: int, free: int = 0) -> Self:
        """Return the load of a backlog, with so many live workers, `free` of which do none of its
        runs. Where it has more runs than that leaves room for, so many more workers live."""
        return cls(
            backlog.now_ms,
            max(workers, free + len(backlog.running)),
            backlog.running,
            backlog.waiting,
            backlog.inflow,
            backlog.inflow_slack_ms,
        )

    @property
    def contended(self) -> bool:
        """Whether a run that begins now shares its machine with others: jobs wait for the next
        worker, or half of the others run."""
        return bool(self.waiting) or 2 * len(self.running) > self.workers - 1


@dataclass(frozen=True)
class Pressure:
    """What the jobs that wait leave for a run that begins now."""

    room_ms: float
    """How much work more may be done before them with all still in time, if each of them runs in
    its cheapest way. Infinite when none waits; negative when one is too late already."""
    kept_ms: float
    """The same among those that are not too late already: a run this long makes none late that
    could still be in time. Never negative."""
    stretch: float
    """By how much every job, this one first, could take longer than its narrowest network does
    with all still in time. Infinite when none waits.

    It is the reciprocal of the largest density (work that must be done before a moment over the
    worker time until then), at which the optimal schedule of the known jobs runs them all (Yao,
    Demers and Shenker, FOCS 1995: "optimal available"). Where gain falls with cost, as that of
    width does, equal stretch is what spends worker time best.
    """


def pressure(load: Load, network_ms: float = 0.0, from_ms: float = float("-inf")) -> Pressure:
    """Weigh a run whose narrowest network takes `network_ms` against the jobs that wait.

    With `from_ms`, only those that must start after it count; the work before them is theirs to
    wait for all the same.
    """
    ends = sorted([max(end, load.now_ms) for end in load.running])
    # Worker time until a moment that no run has taken yet: workers * moment - taken.
    workers = load.workers - len(ends)
    taken = workers * load.now_ms
    ends.append(float("inf"))
    following = ends.pop(0)
    room = kept = stretch = float("inf")
    cheapest, network = 0.0, network_ms
    for latest_start, cheapest_ms, group_network_ms in load.waiting:
        while following < latest_start:
            workers += 1
            taken += following
            following = ends.pop(0)
        if latest_start > from_ms:
            # The first of a group must have started when its slot begins, the last when it ends.
            free = workers * latest_start - taken
            over = free + workers * SLOT_MS
            spare = free if free < over - cheapest_ms else over - cheapest_ms
            left = spare - cheapest
            if left < room:
                room = left
            if 0 <= left < kept:
                kept = left
            if free < stretch * network:
                stretch = free / network
            if over < stretch * (network + group_network_ms):
                stretch = over / (network + group_network_ms)
        cheapest += cheapest_ms
        network += group_network_ms
    return Pressure(room, kept, max(0.0, stretch))


def sustained_stretch(load: Load) -> float:
    """Return the stretch at which the work that keeps coming would keep all workers busy."""
    return load.workers / load.inflow if load.inflow > 0 else float("inf")


def wait_ms(load: Load, latest_start_ms: float) -> float:
    """Return after how long a new job would begin, if those before it all run in their cheapest
    way: the level to which their work fills the workers, over the ends of what runs now."""
    work = 0.0
    for group_start_ms, cheapest_ms, _ in load.waiting:
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
    """The work that keeps coming, as told by what comes while others wait.

    Callers who send their next picture when they have the last one's answer never make a queue
    longer, however fast they are answered: nothing comes of them while their own work waits. Others
    come at the same rate then as at any other time, so counting only that time finds their rate.
    """

    def __init__(self) -> None:
        self._work_ms = 0.0
        self._urgency = 0.0
        """Work over the time that it can wait."""
        self._time_ms = 0.0
        """For how long of late others waited."""
        self._at_ms = 0.0

    def pass_time(self, now_ms: float, waiting: bool) -> None:
        """Let the time until now go by, in which something waited or nothing did."""
        fade = math.exp((self._at_ms - now_ms) / DEMAND_MS)
        self._work_ms *= fade
        self._urgency *= fade
        self._time_ms = self._time_ms * fade + (DEMAND_MS * (1 - fade) if waiting else 0.0)
        self._at_ms = now_ms

    def add(self, network_ms: float, slack_ms: float) -> None:
        """Count work that came now, while others waited; `slack_ms` is positive."""
        self._work_ms += network_ms
        self._urgency += network_ms / slack_ms

    def withdraw(self, network_ms: float, slack_ms: float, age_ms: float) -> None:
        """Forget work that was counted `age_ms` ago and is not to be done."""
        fade = math.exp(-age_ms / DEMAND_MS)
        self._work_ms = max(0.0, self._work_ms - network_ms * fade)
        self._urgency = max(0.0, self._urgency - network_ms / slack_ms * fade)

    @property
    def inflow(self) -> float:
        """Narrowest-network ms per ms."""
        return self._work_ms / (self._time_ms + PRIOR_MS)

    @property
    def slack_ms(self) -> float:
        """The harmonic mean of how long the work can wait, weighted by it; infinite without any."""
        return self._work_ms / self._urgency if self._urgency > 0 else float("inf")


class Slots:
    """The groups of a queue, kept as jobs come and go."""

    def __init__(self) -> None:
        self._starts: list[float] = []
        self._groups: list[Group] = []
        self._jobs: dict[float, int] = {}

    def add(self, latest_start_ms: float, cheapest_ms: float, network_ms: float) -> None:
        """Take in a job that waits."""
        slot = _slot(latest_start_ms)
        place = bisect.bisect_left(self._starts, slot)
        known = self._jobs.get(slot, 0)
        self._jobs[slot] = known + 1
        if known:
            _, cheapest, network = self._groups[place]
            self._groups[place] = Group(slot, cheapest + cheapest_ms, network + network_ms)
        else:
            self._starts.insert(place, slot)
            self._groups.insert(place, Group(slot, cheapest_ms, network_ms))

    def remove(self, latest_start_ms: float, cheapest_ms: float, network_ms: float) -> None:
        """Let go of a job that was added with the same figures. KeyError if there is none."""
        slot = _slot(latest_start_ms)
        left = self._jobs[slot] - 1
        place = bisect.bisect_left(self._starts, slot)
        if left:
            self._jobs[slot] = left
            _, cheapest, network = self._groups[place]
            self._groups[place] = Group(slot, cheapest - cheapest_ms, network - network_ms)
        else:  # sums of floats are thrown away before they drift
            del self._jobs[slot], self._starts[place], self._groups[place]

    def groups(self) -> list[Group]:
        """Return the groups, earliest first."""
        return self._groups.copy()


def _slot(latest_start_ms: float) -> float:
    return SLOT_MS * (latest_start_ms // SLOT_MS)
