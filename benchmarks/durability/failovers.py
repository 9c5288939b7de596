"""A queue behind Sentinel whose primary is killed time and again while jobs are submitted.

A primary, a replica and three sentinels are real processes. Each failover: the primary is killed,
the sentinels promote the replica, and the killed server comes back as the replica of the other.
Jobs that were accepted, and that no server has at the end, are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from benchmarks.durability.server import APPENDING, TrialSentinel, TrialServer, any_server
from benchmarks.durability.trial_jobs import (
    SETTINGS,
    Promise,
    Submitting,
    queues_of,
    waiting_jobs,
)

SERVICE = "trial"
SENTINELS = 3
QUORUM = 2
STEP_TIMEOUT_S = 60.0
BETWEEN_S = 1.0
"""Time for which jobs are submitted undisturbed, after each failover."""


@dataclass(frozen=True)
class Report:
    """What became of the jobs of all failovers."""

    failovers: int
    accepted: int
    refused: int
    """Answers that promised nothing."""
    lost: int
    altered: int
    """Jobs with another picture than theirs."""
    most_lost: int
    """Jobs lost in one failover."""
    outage_p50_s: float
    """Time without an accepted job around a failover."""
    outage_max_s: float


def fail_over(
    promise: Promise, callers: int, failovers: int, progress: Callable[[int], None]
) -> Report:
    """Kill the primary so many times. A durable job waits for the disks of both servers.
    `progress` gets the number that is done. Raises RedisUnavailableError and TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="anysr-failover-") as folder:
        return asyncio.run(_run(Path(folder), promise, callers, failovers, progress))


async def _run(
    folder: Path, promise: Promise, callers: int, failovers: int, progress: Callable[[int], None]
) -> Report:
    submitting, stop, kills = Submitting(promise), asyncio.Event(), list[float]()
    settings = SETTINGS.model_copy(update={"durable_replicas": 1})
    async with (
        _group(folder, durable=promise is Promise.DURABLE) as group,
        queues_of(group.url, settings=settings) as queues,
    ):
        calls = asyncio.create_task(submitting.run(queues, callers, stop))
        for number in range(failovers):
            await asyncio.sleep(BETWEEN_S)
            kills.append(time.monotonic())
            await group.fail_over()
            progress(number + 1)
        await asyncio.sleep(BETWEEN_S)
        stop.set()
        await calls
        found = await asyncio.to_thread(waiting_jobs, group.primary)
    there = found.whole | found.altered | found.foreign
    lost = [one.at for one in submitting.accepted if one.job_id not in there]
    moments = sorted(one.at for one in submitting.accepted)
    outages = [_outage_s(moments, kill) for kill in kills]
    by_failover = np.histogram(lost, [0.0, *(kill + BETWEEN_S / 2 for kill in kills), np.inf])[0]
    return Report(
        failovers=len(kills),
        accepted=len(submitting.accepted),
        refused=submitting.refused,
        lost=len(lost),
        altered=len(found.altered | found.foreign),
        most_lost=int(by_failover.max()),
        outage_p50_s=float(np.median(outages)),
        outage_max_s=max(outages),
    )


def _outage_s(moments: list[float], kill: float) -> float:
    """Return the time between the last accepted job before a kill and the first one after."""
    place = int(np.searchsorted(moments, kill))
    # Answers that were on their way come a moment after the kill.
    gaps = np.diff(moments[max(0, place - 1) : place + 100])
    return float(gaps.max()) if len(gaps) else float("inf")


@dataclass
class _Group:
    """Two servers, of which one is the primary, and their sentinels."""

    primary: TrialServer
    replica: TrialServer
    sentinels: list[TrialSentinel]

    @property
    def url(self) -> str:
        """URL of the primary, whichever that is."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    async def fail_over(self) -> None:
        """Kill the primary, and return when the other server has its place, and a replica again."""
        self.primary.kill()
        self.primary, self.replica = self.replica, self.primary
        await _until(lambda: self._named() == self.primary.port, "the promotion of the replica")
        follow(self.replica, self.primary)
        await asyncio.to_thread(self.replica.start)
        await self.in_step()

    async def in_step(self) -> None:
        """Return when the replica has what the primary has, and all sentinels know of it."""
        await _until(lambda: _info(self.replica).get("master_link_status") == "up", "a replica")
        await _until(lambda: all(map(_sees_replica, self.sentinels)), "sentinels that know it")

    def _named(self) -> int | None:
        """Return the port that most sentinels name; None where they do not agree."""
        ports = [_named_by(sentinel) for sentinel in self.sentinels]
        return max(set(ports), key=ports.count) if len(set(ports)) == 1 else None


def follow(replica: TrialServer, primary: TrialServer) -> None:
    """Have a server be a replica at its next start."""
    replica.options["replicaof"] = f"127.0.0.1 {primary.port}"


@contextlib.asynccontextmanager
async def _group(folder: Path, *, durable: bool) -> AsyncIterator[_Group]:
    executable = any_server()
    options = {**APPENDING, "appendfsync": "always" if durable else "everysec"}
    options |= {"repl-diskless-sync-delay": "0"}
    primary, replica = (TrialServer(executable, folder / name, options) for name in ("a", "b"))
    follow(replica, primary)
    group = _Group(primary, replica, [])
    try:
        primary.start()
        replica.start()
        for number in range(SENTINELS):
            place = folder / f"sentinel-{number}"
            group.sentinels.append(TrialSentinel(executable, place, SERVICE, primary.port, QUORUM))
            group.sentinels[-1].start()
        await group.in_step()
        yield group
    finally:
        for server in (primary, replica, *group.sentinels):
            server.kill()


def _info(server: TrialServer) -> dict[str, str]:
    with contextlib.closing(server.client()) as client:
        return dict(client.info("replication"))


def _named_by(sentinel: TrialSentinel) -> int:
    with contextlib.closing(sentinel.client()) as client:
        address: Any = client.sentinel_get_master_addr_by_name(SERVICE)
    return int(address[1])


def _sees_replica(sentinel: TrialSentinel) -> bool:
    """Return whether a sentinel knows the others, and a replica that it could promote."""
    with contextlib.closing(sentinel.client()) as client:
        state: Any = client.sentinel_master(SERVICE)
        replicas: Any = client.sentinel_slaves(SERVICE)
    able = [one for one in replicas if one["flags"] == "slave" or not one["is_sdown"]]
    return bool(able) and int(state["num-other-sentinels"]) == SENTINELS - 1


async def _until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises TimeoutError."""
    until = time.monotonic() + STEP_TIMEOUT_S
    while time.monotonic() < until:
        with contextlib.suppress(redis.RedisError):
            if await asyncio.to_thread(condition):
                return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"There is still not {what} after {STEP_TIMEOUT_S:g} s.")
