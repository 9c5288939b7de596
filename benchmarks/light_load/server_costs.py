"""CPU time of the server for each call, one kind of call after the other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import redis

from benchmarks.light_load.gateways import PICTURE, light_job
from benchmarks.light_load.workers import CAPABILITIES, COSTS, MODELS, RESULT
from jobs.connection import connect
from jobs.event_hub import EventHub
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Claim, Reason, RunFacts
from jobs.keys import Keys
from jobs.queue import Gap
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

T = TypeVar("T")

CALLS = 200
AT_ONCE = 16
RUN_S = 4.0
FACTS = RunFacts("anysr-m", 1.0, Reason.WIDEST, 1.0, 1.0)


def cpu_s(server: redis.Redis) -> float:
    """Return the CPU time that a server has used."""
    used = server.info("cpu")
    assert isinstance(used, dict)
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


async def costs_us(url: str, workers: int, running: int, gateways: int) -> dict[str, float]:
    """Return the µs of the server's CPU for each call, with so many live workers and runs, and
    gateways that are connected."""
    name, limit = f"costs-{uuid.uuid4().hex}", 2 * running + 2 * CALLS
    settings = QueueSettings(namespace=name, lease_seconds=600, queue_limit=limit)
    queue = RedisQueue.connect(url, settings)
    hearing = [asyncio.create_task(_hear(url, name)) for _ in range(gateways)]
    try:
        with redis.Redis.from_url(url) as server:
            return await _Costs(queue, server, workers).all(running)
    finally:
        for task in hearing:
            task.cancel()
        await asyncio.gather(*hearing, return_exceptions=True)
        await queue.close()


async def _hear(url: str, namespace: str) -> None:
    """Receive events, as a gateway does that has submitted none of the jobs."""
    client = connect(url)
    hub = EventHub(client, Keys(namespace))
    hub.start()
    try:
        await asyncio.Event().wait()
    finally:
        await hub.close()
        await client.aclose()


class _Costs:
    def __init__(self, queue: RedisQueue, server: redis.Redis, workers: int) -> None:
        self._queue = queue
        self._server = server
        self._workers = workers
        self._kept: list[Claim] = []
        """Runs in progress, the last ones that were claimed."""

    async def all(self, running: int) -> dict[str, float]:
        leases = self._queue.leases
        await _each(range(self._workers), self._beat)
        await _each(range(running), self._submit)
        claims = [await self._claim() for _ in range(running)]
        for claim in claims:
            await leases.report_expected_end(claim, RUN_S * 1e3)
        await self._snapshot(0)  # a gateway reads the profiles of workers once
        return {
            "heartbeat": await self._cost(range(CALLS), self._beat),
            "snapshot": await self._cost(range(CALLS // 10), self._snapshot),
            "look": await self._cost(range(CALLS), self._look),
            "renew": await self._cost(claims[:CALLS], lambda claim: leases.renew(claim, 0.5)),
            "job, none waits": await self._cost(claims[:CALLS], self._job, at_once=1),
            "submit, jobs wait": await self._cost(range(min(CALLS, running)), self._submit),
            "expected end": await self._cost(
                self._kept, lambda claim: leases.report_expected_end(claim, RUN_S * 1e3)
            ),
            "complete and claim, jobs wait": await self._cost(self._kept, self._complete),
        }

    async def _cost(
        self, over: Iterable[T], call: Callable[[T], Awaitable[object]], at_once: int = AT_ONCE
    ) -> float:
        items, before = list(over), cpu_s(self._server)
        await _each(items, call, at_once)
        return (cpu_s(self._server) - before) / len(items) * 1e6

    async def _beat(self, number: int) -> None:
        heartbeat = WorkerHeartbeat(
            f"light-{number % self._workers}", True, MODELS, COSTS, capabilities=CAPABILITIES
        )
        await self._queue.registry.publish_heartbeat(heartbeat)

    async def _snapshot(self, number: int) -> None:
        del number
        registry, stats = self._queue.registry, self._queue.submissions.stats
        await asyncio.gather(registry.heartbeats(), stats(), registry.health())

    async def _look(self, number: int) -> None:
        gap = Gap(RUN_S * 1e3, 0.001)
        await self._queue.leases.claim_urgent(f"light-{number % self._workers}", gap, CAPABILITIES)

    async def _submit(self, number: int) -> None:
        del number
        await self._queue.submissions.submit(light_job(RUN_S), PICTURE, workers=self._workers)

    async def _job(self, claim: Claim) -> None:
        """Submit a job, and have the worker that ends another one claim it."""
        await self._submit(0)
        leases = self._queue.leases
        done = await leases.complete_and_claim(claim, FACTS, RESULT, "light-0", CAPABILITIES)
        # None where the server did not know the script yet.
        self._kept.append(done.following or await self._claim())

    async def _claim(self) -> Claim:
        claim = await self._queue.leases.claim("light-0", 0, None, lambda: CAPABILITIES)
        assert claim is not None
        return claim

    async def _complete(self, claim: Claim) -> None:
        await self._queue.leases.complete_and_claim(claim, FACTS, RESULT, "light-0", CAPABILITIES)


async def _each(
    over: Iterable[T], call: Callable[[T], Awaitable[object]], at_once: int = AT_ONCE
) -> None:
    turns = asyncio.Semaphore(at_once)

    async def one(item: T) -> None:
        async with turns:
            await call(item)

    await asyncio.gather(*(one(item) for item in over))
