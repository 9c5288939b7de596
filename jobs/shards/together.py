"""What several shards answer, as one answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from jobs.backlog import Backlog, ClientLoad, QueueStats
from jobs.queue_health import QueueHealth

T = TypeVar("T")

ANSWER_S = 2.0
"""A shard that takes longer counts as away: one that hangs must not hold up the others."""


async def answers_of(asked: Iterable[Awaitable[T]]) -> dict[int, T]:
    """Return the answers of the shards that can be reached, by their number. Raises ConnectionError
    where none can."""
    found = await asyncio.gather(*map(_in_time, asked), return_exceptions=True)
    answers: dict[int, T] = {}
    for number, answer in enumerate(found):
        if isinstance(answer, BaseException):
            if not isinstance(answer, ConnectionError):
                raise answer
        else:
            answers[number] = answer
    if not answers:
        raise ConnectionError("no shard of the queue can be reached")
    return answers


async def _in_time(asked: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(ANSWER_S):
            return await asked
    except TimeoutError:
        raise ConnectionError(f"no answer of a shard in {ANSWER_S:g} s") from None


def together(found: Sequence[QueueStats]) -> QueueStats:
    """Return the figures of several shards, at least one, as those of one queue."""
    return QueueStats(
        queued=sum(stats.queued for stats in found),
        running=sum(stats.running for stats in found),
        oldest_age_ms=max(stats.oldest_age_ms for stats in found),
        backlog_ms=sum(stats.backlog_ms for stats in found),
        backlog=_backlog([stats.backlog for stats in found]),
        overdue_ms=max(stats.overdue_ms for stats in found),
    )


def _backlog(found: Sequence[Backlog]) -> Backlog:
    """Return the backlogs of several shards as one, by the clock of the first."""
    first = found[0]
    moved = [_by_clock(backlog, first.now_ms) for backlog in found]
    demand = sum(backlog.demand for backlog in moved)
    urgency = sum(backlog.demand / backlog.demand_slack_ms for backlog in moved)
    return Backlog(
        now_ms=first.now_ms,
        waiting=tuple(sorted(group for backlog in moved for group in backlog.waiting)),
        running=tuple(sorted(end for backlog in moved for end in backlog.running)),
        demand=demand,
        demand_slack_ms=demand / urgency if urgency > 0 else math.inf,
        runs=tuple(run for backlog in moved for run in backlog.runs),
        own=_own([backlog.own for backlog in moved if backlog.own is not None]),
    )


def _by_clock(backlog: Backlog, now_ms: float) -> Backlog:
    """Return a backlog by another clock."""
    by = now_ms - backlog.now_ms
    own = backlog.own
    return replace(
        backlog,
        waiting=tuple(
            group._replace(latest_start_ms=group.latest_start_ms + by) for group in backlog.waiting
        ),
        running=tuple(end + by for end in backlog.running),
        runs=tuple(
            run._replace(end_ms=run.end_ms + by, due_ms=run.due_ms + by) for run in backlog.runs
        ),
        own=own
        and replace(
            own,
            waiting=tuple(
                group._replace(latest_start_ms=group.latest_start_ms + by) for group in own.waiting
            ),
        ),
    )


def _own(found: Sequence[ClientLoad]) -> ClientLoad | None:
    """Return what a client has in those shards where others are active beside it: its part is the
    mean of its parts."""
    if not found:
        return None
    return ClientLoad(
        part=sum(own.part for own in found) / len(found),
        waiting=tuple(sorted(group for own in found for group in own.waiting)),
        demand=sum(own.demand for own in found),
        used=sum(own.used for own in found),
    )


def health_of(found: Sequence[QueueHealth]) -> QueueHealth:
    """Return the counters of several shards as those of one queue, and the memory of each server
    once."""
    first = found[0]
    numbers = [field.name for field in fields(first) if isinstance(getattr(first, field.name), int)]
    sums: dict[str, Any] = {
        name: sum(getattr(health, name) for health in found) for name in numbers
    }
    return replace(first, **sums)
