"""What waits and what runs, as backlog.lua sums it up, read into values."""

from __future__ import annotations

from typing import Any

from jobs.job import Backlog, QueueStats


def backlog_of(answer: list[bytes]) -> Backlog:
    """Return the backlog that the `backlog` of backlog.lua answered."""
    now_ms, _, slots, costs, networks, ends, inflow, slack = answer
    groups = (map(float, slots.split()), map(_ms, costs.split()), map(_ms, networks.split()))
    return Backlog(
        now_ms=float(now_ms),
        waiting=tuple(zip(*groups, strict=True)),
        running=tuple(sorted(map(float, ends.split()))),
        inflow=float(inflow),
        inflow_slack_ms=float(slack),
    )


def stats_of(answer: list[Any]) -> QueueStats:
    """Return the figures that stats.lua answered."""
    queued, running, oldest_age_ms, overdue_ms, others = answer
    return QueueStats(
        queued=queued,
        running=running,
        oldest_age_ms=float(oldest_age_ms),
        backlog_ms=_ms(others[1]),
        backlog=backlog_of(others),
        overdue_ms=float(overdue_ms),
    )


def _ms(microseconds: bytes) -> float:
    return int(microseconds) / 1000
