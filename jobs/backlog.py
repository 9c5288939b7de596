"""What waits and what runs in the queue at one moment, and how it is read from the scripts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple


class Group(NamedTuple):
    """Jobs that must start at nearly the same time.

    It is dated by the earliest time that it may hold, so what is feasible for the group is feasible
    for each of its jobs.
    """

    latest_start_ms: float
    cheapest_ms: float
    """Sum of the predicted costs of the cheapest ways that their callers accept."""
    narrowest_ms: float
    """Sum of the predicted costs of their narrowest networks."""
    last_ms: float = 0.0
    """What part of `cheapest_ms` is that of the job that starts last, where it is known."""


class Run(NamedTuple):
    """A run in progress. Times are of the queue's clock."""

    end_ms: float
    """When it is expected to end; in the past if it takes longer than predicted."""
    due_ms: float
    """When it must end to be in time."""
    narrowest_ms: float
    """Predicted cost of the whole picture by its narrowest network."""


@dataclass(frozen=True)
class ClientLoad:
    """What one client has in the queue, beside what it may take of the workers."""

    part: float
    """Part of all worker time that is the client's: its weight over the sum of the weights of the
    clients that are active, below 1."""
    waiting: tuple[Group, ...] = ()
    """Its own waiting jobs, earliest first; they are among those of the backlog."""
    demand: float = 0.0
    """Its own part of the backlog's `demand`."""
    used: float = 0.0
    """Workers that its runs have kept busy in the last seconds, on average."""


@dataclass(frozen=True)
class Backlog:
    """What waits and what runs at one moment of the queue's clock. All times are its ms."""

    now_ms: float
    waiting: tuple[Group, ...] = ()
    """Earliest first. The last group may hold all jobs after the others."""
    running: tuple[float, ...] = ()
    """The predicted end of each run in progress, earliest first; in the past for a run that takes
    longer than predicted."""
    demand: float = 0.0
    """Narrowest-network ms that arrive per ms while other jobs wait: how much work keeps coming."""
    demand_slack_ms: float = math.inf
    """How long that work can wait: the harmonic mean, weighted by work."""
    runs: tuple[Run, ...] = ()
    """The runs in progress, where they are asked for to decide on an admission."""
    own: ClientLoad | None = None
    """What the client of the job in question has in the queue; None while no other client is
    active."""


@dataclass(frozen=True)
class QueueStats:
    """The queue at one moment of its own clock."""

    queued: int
    running: int
    oldest_age_ms: float
    """Age of the job that has waited longest; 0 when none waits."""
    backlog_ms: float
    """Sum of the predicted cheapest costs of what is queued."""
    backlog: Backlog
    overdue_ms: float = 0.0
    """Time since the latest start of the most urgent waiting job; 0 while it can still wait."""


def backlog_of(answer: list[bytes]) -> Backlog:
    """Return the backlog in the answer of `backlog` or `backlog_with_runs` of the scripts, or of
    `backlog_for` for a client."""
    now_ms, _, slots, cheapest, narrowest, ends, demand, slack, *rest = answer
    runs, own = rest[:1], rest[1:]
    return Backlog(
        now_ms=float(now_ms),
        waiting=_groups(slots, cheapest, narrowest),
        running=tuple(sorted(map(float, ends.split()))),
        demand=float(demand),
        demand_slack_ms=float(slack),
        runs=_runs(runs[0]) if runs else (),
        own=_own(slots, *own) if own else None,
    )


def _groups(slots: bytes, cheapest: bytes, narrowest: bytes) -> tuple[Group, ...]:
    columns = (map(float, slots.split()), map(_ms, cheapest.split()), map(_ms, narrowest.split()))
    return tuple(Group(*row) for row in zip(*columns, strict=True))


def _own(
    slots: bytes, part: bytes, cheapest: bytes, narrowest: bytes, demand: bytes, used: bytes
) -> ClientLoad:
    found = (group for group in _groups(slots, cheapest, narrowest) if any(group[1:]))
    return ClientLoad(float(part), tuple(found), float(demand), float(used))


def _runs(words: bytes) -> tuple[Run, ...]:
    times = map(float, words.split())
    return tuple(Run(*run) for run in zip(times, times, times, strict=True))


def stats_of(answer: list[Any]) -> QueueStats:
    """Return the figures in the answer of stats.lua."""
    queued, running, oldest_age_ms, overdue_ms, backlog = answer
    return QueueStats(
        queued=queued,
        running=running,
        oldest_age_ms=float(oldest_age_ms),
        backlog_ms=_ms(backlog[1]),
        backlog=backlog_of(backlog),
        overdue_ms=float(overdue_ms),
    )


def _ms(microseconds: bytes) -> float:
    return int(microseconds) / 1000
