"""Power is lost while jobs are submitted: what of the accepted ones is on disk.

A round: callers submit to a real server; at a moment drawn by the seed it is killed, and its folder
is copied as far as it was on disk (`disk`). A server on the copy hands out all jobs, each with its
picture. In half of the rounds the append-only file is being rewritten.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.durability.disk import watched
from benchmarks.durability.server import APPENDING, TrialServer, any_server, running
from benchmarks.durability.trial_jobs import (
    Found,
    Promise,
    Submitting,
    claim_all,
    queues_of,
)
from jobs.connection import connect

CALLERS_OF_A_GATEWAY = 64
"""Calls that a process makes at once."""
EARLIEST, LATEST = 0.5, 1.5
"""A round ends after between so many times its mean number of jobs."""


@dataclass(frozen=True)
class Report:
    """What became of the jobs of all rounds."""

    rounds: int
    accepted: int
    lost: int
    oldest_lost_s: float
    """Longest time between the answer for a lost job and the loss of power; 0 without one."""
    altered: int
    """Jobs with another picture than theirs."""
    lost_bytes: int
    """Bytes that the server had written and were not on disk."""


@dataclass(frozen=True)
class Trial:
    """How power is lost."""

    promise: Promise
    appendfsync: str = "everysec"
    callers: int = 16
    jobs_of_a_round: int = 500
    server: str | None = None
    """Path of the server; None for `any_server`."""


@dataclass(frozen=True)
class _Round:
    accepted: int
    lost_ages_s: tuple[float, ...]
    altered: int
    lost_bytes: int


def lose_power(trial: Trial, jobs: int, seed: int, progress: Callable[[int], None]) -> Report:
    """Lose power, round after round, until so many jobs were accepted in all. `progress` gets their
    number. Raises RedisUnavailableError, and OSError where the disk cannot be watched."""
    chance, rounds = random.Random(seed), list[_Round]()
    while (accepted := sum(one.accepted for one in rounds)) < jobs:
        progress(accepted)
        share = chance.uniform(EARLIEST, LATEST)
        rewriting = bool(chance.getrandbits(1))
        number = max(1, round(share * trial.jobs_of_a_round))
        rounds.append(asyncio.run(_round(trial, number, rewriting=rewriting)))
    progress(accepted)
    ages = [age for one in rounds for age in one.lost_ages_s]
    return Report(
        rounds=len(rounds),
        accepted=accepted,
        lost=len(ages),
        oldest_lost_s=max(ages, default=0.0),
        altered=sum(one.altered for one in rounds),
        lost_bytes=sum(one.lost_bytes for one in rounds),
    )


async def _round(trial: Trial, jobs: int, *, rewriting: bool) -> _Round:
    with tempfile.TemporaryDirectory(prefix="anysr-power-") as name:
        folder = Path(name)
        options = {**APPENDING, "appendfsync": trial.appendfsync}
        executable = trial.server or any_server()
        server = TrialServer(executable, folder / "before", options)
        submitting = Submitting(trial.promise)
        with watched(server) as disk:
            killed_at = await _submit_until_killed(server, submitting, trial, jobs, rewriting)
            lost_bytes = disk.copy(server.folder, folder / "after")
        with running(TrialServer(executable, folder / "after", options)) as after:
            async with queues_of(after.url) as (queue,):
                found = await claim_all(queue)
    return _judged(submitting, found, killed_at, lost_bytes)


async def _submit_until_killed(
    server: TrialServer, submitting: Submitting, trial: Trial, jobs: int, rewriting: bool
) -> float:
    """Return the moment of the loss, by the clock of the answers."""
    stop, clock = asyncio.Event(), asyncio.get_running_loop()
    gateways = -(-trial.callers // CALLERS_OF_A_GATEWAY)
    async with queues_of(server.url, gateways) as queues:
        waiting = connect(server.url)
        own = waiting if trial.promise is Promise.WAITAOF else None
        calls = asyncio.create_task(submitting.run(queues, trial.callers, stop, own))
        while len(submitting.accepted) < jobs and not calls.done():
            if rewriting and len(submitting.accepted) > jobs // 2:
                rewriting = False
                with contextlib.closing(server.client()) as client:
                    client.bgrewriteaof()
            await asyncio.sleep(0.001)
        server.kill()
        killed_at = clock.time()
        stop.set()
        await calls
        await waiting.aclose()
    return killed_at


def _judged(submitting: Submitting, found: Found, killed_at: float, lost_bytes: int) -> _Round:
    there = found.whole | found.altered | found.foreign
    lost = [one for one in submitting.accepted if one.job_id not in there]
    return _Round(
        accepted=len(submitting.accepted),
        lost_ages_s=tuple(killed_at - one.at for one in lost),
        altered=len(found.altered | found.foreign),
        lost_bytes=lost_bytes,
    )
