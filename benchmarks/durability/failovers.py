"""A queue behind Sentinel whose primary is killed time and again while jobs are submitted.

A primary, a replica and three sentinels are real processes. Each failover: the primary is killed,
the sentinels promote the replica, and the killed server comes back as the replica of the other.
Jobs that were accepted, and that no server has at the end, are lost.

Which of the two is the primary only the sentinels know: on a busy machine one that does not answer
for a second is down to them, so they also promote when nobody has killed anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis

from benchmarks.durability.server import (
    APPENDING,
    TrialSentinel,
    TrialServer,
    Watch,
    any_server,
)
from benchmarks.durability.trial_jobs import (
    SETTINGS,
    Promise,
    Submitting,
    queues_of,
    waiting_jobs,
)

SERVICE = "trial"
STEP_TIMEOUT_S = 60.0
BETWEEN_S = 1.0
"""Time for which jobs are submitted undisturbed, after each failover."""


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
    """Longest time without an accepted job from a kill to the next one."""
    outage_max_s: float


def fail_over(
    promise: Promise, callers: int, watch: Watch, failovers: int, progress: Callable[[int], None]
) -> Report:
    """Kill the primary so many times. A durable job waits for the disks of both servers.
    `progress` gets the number that is done. Raises RedisUnavailableError and TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="anysr-failover-") as name:
        group = _group(Path(name), watch, durable=promise is Promise.DURABLE)
        return asyncio.run(_run(group, promise, callers, failovers, progress))


async def _run(
    starting: AbstractAsyncContextManager[_Group],
    promise: Promise,
    callers: int,
    failovers: int,
    progress: Callable[[int], None],
) -> Report:
    submitting, stop, kills = Submitting(promise), asyncio.Event(), list[float]()
    settings = SETTINGS.model_copy(update={"durable_replicas": 1})
    async with (
        starting as group,
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
        primary = await group.in_step()
        promotions = group.promotions()
        found = await asyncio.to_thread(waiting_jobs, primary)
    there = found.whole | found.altered | found.foreign
    lost = [one.at for one in submitting.accepted if one.job_id not in there]
    moments = sorted(one.at for one in submitting.accepted)
    ends = *kills[1:], float("inf")
    outages = [_outage_s(moments, *span) for span in zip(kills, ends, strict=True)]
    by_failover = np.histogram(lost, [0.0, *(kill + BETWEEN_S / 2 for kill in kills), np.inf])[0]
    return Report(
        failovers=len(kills),
        promotions=promotions,
        accepted=len(submitting.accepted),
        refused=submitting.refused,
        lost=len(lost),
        altered=len(found.altered | found.foreign),
        most_lost=int(by_failover.max()),
        outage_p50_s=float(np.median(outages)),
        outage_max_s=max(outages),
    )


def _outage_s(moments: list[float], kill: float, end: float) -> float:
    """Return the longest time between two accepted jobs, of which one came after a kill and before
    the `end`; infinity if none came."""
    first, last = np.searchsorted(moments, (kill, end))
    gaps = np.diff(moments[max(0, int(first) - 1) : int(last)])
    return float(gaps.max()) if len(gaps) else float("inf")


@dataclass
class _Group:
    """Two servers, of which one is the primary, and their sentinels."""

    servers: tuple[TrialServer, TrialServer]
    sentinels: list[TrialSentinel]

    @property
    def url(self) -> str:
        """URL of the primary, whichever that is."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    async def fail_over(self) -> None:
        """Kill the primary, and return when the other server has its place, and a replica again."""
        killed = await self.in_step()
        killed.kill()
        other = self._beside(killed)
        await _until(lambda: self._named() is other, "the promotion of the replica")
        follow(killed, other)
        await asyncio.to_thread(killed.start)
        await self.in_step()

    async def in_step(self) -> TrialServer:
        """Return the primary, once the other server has what it has, and all sentinels agree."""
        await _until(lambda: self._settled() is not None, "a replica that the sentinels know")
        primary = self._settled()
        return primary if primary is not None else await self.in_step()

    def promotions(self) -> int:
        """Return how often the sentinels have promoted a replica, by what one of them said."""
        return self.sentinels[0].said("+switch-master")

    def _settled(self) -> TrialServer | None:
        """Return the primary; None while that, or what follows it, changes."""
        primary = self._named()
        if primary is None or _info(primary)["role"] != "master":
            return None
        followed = _info(self._beside(primary))
        in_step = followed.get("master_link_status") == "up"
        follows = in_step and int(followed["master_port"]) == primary.port
        return primary if follows and all(map(self._sees_replica, self.sentinels)) else None

    def _named(self) -> TrialServer | None:
        """Return the server that all sentinels name as the primary; None where they disagree."""
        ports = {_named_by(sentinel) for sentinel in self.sentinels}
        named = [server for server in self.servers if {server.port} == ports]
        return named[0] if named else None

    def _sees_replica(self, sentinel: TrialSentinel) -> bool:
        """Return whether a sentinel knows the others, and a replica that it could promote."""
        with contextlib.closing(sentinel.client()) as client:
            state: Any = client.sentinel_master(SERVICE)
            replicas: Any = client.sentinel_slaves(SERVICE)
        able = [one for one in replicas if one["flags"] == "slave"]  # neither down nor unconnected
        others = int(state["num-other-sentinels"])
        return bool(able) and others == len(self.sentinels) - 1

    def _beside(self, server: TrialServer) -> TrialServer:
        """Return the other server."""
        first, second = self.servers
        return second if server is first else first


def follow(replica: TrialServer, primary: TrialServer) -> None:
    """Have a server be a replica at its next start."""
    replica.options["replicaof"] = f"127.0.0.1 {primary.port}"


@contextlib.asynccontextmanager
async def _group(folder: Path, watch: Watch, *, durable: bool) -> AsyncIterator[_Group]:
    executable = any_server()
    options = {**APPENDING, "appendfsync": "always" if durable else "everysec"}
    options |= {"repl-diskless-sync-delay": "0"}
    primary, replica = (TrialServer(executable, folder / name, options) for name in ("a", "b"))
    follow(replica, primary)
    group = _Group((primary, replica), [])
    try:
        primary.start()
        replica.start()
        for number in range(watch.sentinels):
            place = folder / f"sentinel-{number}"
            group.sentinels.append(TrialSentinel(executable, place, SERVICE, primary.port, watch))
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


async def _until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises TimeoutError."""
    until = time.monotonic() + STEP_TIMEOUT_S
    while time.monotonic() < until:
        with contextlib.suppress(redis.RedisError):
            if await asyncio.to_thread(condition):
                return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"There is still not {what} after {STEP_TIMEOUT_S:g} s.")
