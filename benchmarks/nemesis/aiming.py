"""The runs of a service, by which a fault finds the worker and the job that it is aimed at."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import redis.exceptions

from benchmarks.nemesis.topology import Topology

POLL_S = 0.005
"""Between two looks at what runs: small jobs take some ten milliseconds."""


@dataclass(frozen=True)
class Run:
    """A job under the lease of one claim."""

    job: str
    token: str
    worker: int
    """The place of its worker among those of the service."""


@dataclass(frozen=True)
class Standing:
    """What the record of a job says."""

    status: str
    token: str
    """Of its last claim."""
    run: Run | None
    """Its run now, if it has one by a worker that lives."""


class Runs:
    """Reads them past all proxies. While Redis is away nothing runs, and no job is known.

    Waiting is bounded by the clock, because redis-py may lose a cancellation while it connects.
    """

    def __init__(self, service: Topology) -> None:
        self._service = service

    async def now(self) -> list[Run]:
        """Return all that hold a lease; a withdrawn run is none."""
        standings: list[Standing | None] = []
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            jobs = await self._service.client.zrange(self._service.keys.leases, 0, -1)
            standings = [await self.of(str(job)) for job in jobs]
        return [standing.run for standing in standings if standing and standing.run]

    async def of(self, job: str) -> Standing | None:
        """Return how it stands with a job."""
        record, names = self._service.keys.record(job), ("status", "token", "worker")
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            found = await self._service.client.hmget(record, names)
            status, token, worker = (str(value or "") for value in found)
            place = self._place_of(worker) if status == "running" else None
            return Standing(status, token, None if place is None else Run(job, token, place))
        return None

    async def wait_for(
        self, job: str, met: Callable[[Standing], bool], within_s: float
    ) -> Standing | None:
        """Return how it stands with a job, once that is as asked; None after `within_s`."""
        clock = asyncio.get_running_loop()
        until = clock.time() + within_s
        while clock.time() < until:
            standing = await self.of(job)
            if standing is not None and met(standing):
                return standing
            await asyncio.sleep(POLL_S)
        return None

    def _place_of(self, worker: str) -> int | None:
        """Return the place of a worker by its id, which has that of its process as second last."""
        pids = [str(kept.pid) for kept in self._service.workers]
        pid = worker.rsplit("-", 2)[1] if worker.count("-") > 1 else ""
        return pids.index(pid) if pid in pids else None
