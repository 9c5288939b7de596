"""A queue behind Sentinel whose primary is killed time and again while jobs are submitted.

Each failover: callers submit, the primary is killed, the sentinels promote the replica, and the
killed server comes back as the replica of the other. Jobs that were accepted meanwhile, and that
the primary has not at the end, are lost. Then the queue is emptied: a killed server copies all of
it when it comes back, which would take longer with each failover.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.durability.sentinel_group import SentinelGroup, sentinel_group
from benchmarks.durability.server import TrialServer, Watch
from benchmarks.durability.trial_jobs import (
    SETTINGS,
    Promise,
    Submitting,
    queues_of,
    waiting_jobs,
)
from jobs.redis_queue import RedisQueue

BETWEEN_S = 1.0
"""Time for which jobs are submitted undisturbed, before and after each failover."""


@dataclass(frozen=True)
class Report:
    """What became of the jobs of all failovers."""

    failovers: int
    """Primaries that were killed."""
    promotions: int
    """Replicas that the sentinels promoted meanwhile: more than were killed where a primary did not
    answer in time."""
    accepted: int
    refused: int
    """Answers that promised nothing."""
    lost: int
    altered: int
    """Jobs with another picture than theirs."""
    most_lost: int
    """Jobs lost in one failover."""
    outage_p50_s: float
    """Longest time without an accepted job after a kill."""
    outage_max_s: float


@dataclass(frozen=True)
class Failover:
    """What became of the jobs of one failover."""

    accepted: int
    refused: int
    lost: int
    altered: int
    outage_s: float


def fail_over(
    promise: Promise,
    callers: int,
    watch: Watch,
    failovers: int,
    progress: Callable[[int], None],
    keep: Path | None = None,
) -> Report:
    """Kill the primary so many times. A durable job waits for the disks of both servers.
    `progress` gets the number that is done; files and logs of the servers stay in the new folder
    `keep`. Raises RedisUnavailableError, OSError, and TimeoutError with what the sentinels said
    last."""
    with _folder(keep) as folder:
        return asyncio.run(_run(folder, promise, callers, watch, failovers, progress))


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Make a folder, which is deleted afterwards unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="anysr-failover-") as name:
        yield Path(name)


async def _run(
    folder: Path,
    promise: Promise,
    callers: int,
    watch: Watch,
    failovers: int,
    progress: Callable[[int], None],
) -> Report:
    settings = SETTINGS.model_copy(update={"durable_replicas": 1})
    done = list[Failover]()
    async with (
        sentinel_group(folder, watch, durable=promise is Promise.DURABLE) as group,
        queues_of(group.url, settings=settings) as queues,
    ):
        for number in range(failovers):
            done.append(await _failover(group, queues, promise, callers))
            progress(number + 1)
        promotions = group.promotions()
    outages = [one.outage_s for one in done]
    return Report(
        failovers=len(done),
        promotions=promotions,
        accepted=sum(one.accepted for one in done),
        refused=sum(one.refused for one in done),
        lost=sum(one.lost for one in done),
        altered=sum(one.altered for one in done),
        most_lost=max(one.lost for one in done),
        outage_p50_s=float(np.median(outages)),
        outage_max_s=max(outages),
    )


async def _failover(
    group: SentinelGroup, queues: list[RedisQueue], promise: Promise, callers: int
) -> Failover:
    """Kill the primary once while jobs are submitted, and empty the queue."""
    submitting, stop = Submitting(promise), asyncio.Event()
    calls = asyncio.create_task(submitting.run(queues, callers, stop))
    try:
        await asyncio.sleep(BETWEEN_S)
        killed = await group.kill_primary()
        await group.bring_back(killed.server)
        await asyncio.sleep(BETWEEN_S)
    finally:
        stop.set()
        await calls
    primary = await group.in_step()
    found = await asyncio.to_thread(waiting_jobs, primary)
    await asyncio.to_thread(_empty, primary)
    there = found.whole | found.altered | found.foreign
    return Failover(
        accepted=len(submitting.accepted),
        refused=submitting.refused,
        lost=sum(one.job_id not in there for one in submitting.accepted),
        altered=len(found.altered | found.foreign),
        outage_s=_outage_s([one.at for one in submitting.accepted], killed.at),
    )


def _empty(server: TrialServer) -> None:
    with contextlib.closing(server.client()) as client:
        client.flushall()


def _outage_s(accepted: list[float], kill: float) -> float:
    """Return the longest time between two accepted jobs, of which one came after a kill; infinity
    if none came."""
    moments = sorted(accepted)
    first = int(np.searchsorted(moments, kill))
    gaps = np.diff(moments[max(0, first - 1) :])
    return float(gaps.max()) if len(gaps) else float("inf")
