"""Light gateways: each takes snapshots, submits jobs and awaits their ends as a real one does."""

from __future__ import annotations

import asyncio
import random
import time
import uuid

from benchmarks.light_load.latencies import Latencies
from benchmarks.light_load.load import LightLoad
from jobs.connected_queue import connect_queue
from jobs.errors import AnysrError
from jobs.formats import ImageFormat
from jobs.job import Job, OnMiss
from jobs.queue import JobQueue
from jobs.redis_queue import RedisQueue
from jobs.scripts import StoredState
from jobs.shards.queue import ShardedQueue

SNAPSHOT_S = 1.0
"""As `service.settings` has it."""
PICTURE = bytes(20_000)
BUDGET_MS = 60_000.0


def light_job(run_s: float) -> Job:
    """Return a job of a small picture whose budget leaves room for any wait."""
    return Job(
        id=uuid.uuid4().hex,
        source_width=256,
        source_height=192,
        output_width=512,
        output_height=384,
        output_format=ImageFormat.JPEG,
        quality=None,
        model=None,
        pinned_width=None,
        on_miss=OnMiss.DEGRADE,
        budget_ms=BUDGET_MS,
        cheapest_ms=5.0,
        narrowest_ms=run_s * 100,
        overhead_ms=10.0,
    )


def run_gateways(load: LightLoad, numbers: range) -> dict[str, list[float]]:
    """Run some of the gateways to the end of the load; return the ms of their calls."""
    return asyncio.run(_run(load, numbers))


async def _run(load: LightLoad, numbers: range) -> dict[str, list[float]]:
    latencies = Latencies()
    await asyncio.gather(*(LightGateway(load, n, latencies).serve() for n in numbers))
    return latencies.plain()


class LightGateway:
    """One gateway, with a queue of its own, as a process has."""

    def __init__(self, load: LightLoad, number: int, latencies: Latencies) -> None:
        self._load = load
        self._latencies = latencies
        self._random = random.Random(-1 - number)
        self._reads = number == 0
        self._queue = connect_queue(load.url, load.queue_settings)
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Submit jobs at this gateway's part of the rate until the end of the load."""
        await asyncio.sleep(max(0.0, self._load.begins - time.time()))
        snapshots = asyncio.create_task(self._take_snapshots())
        try:
            await self._submit_all()
        finally:
            for task in (snapshots, *self._requests):
                task.cancel()
            await asyncio.gather(snapshots, *self._requests, return_exceptions=True)
            await self._queue.close()

    async def _submit_all(self) -> None:
        rate = self._load.jobs_per_s / self._load.gateways
        due = time.time()
        while (due := due + self._random.expovariate(rate)) < self._load.ends:
            await asyncio.sleep(max(0.0, due - time.time()))
            request = asyncio.create_task(self._request())
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _request(self) -> None:
        submissions = self._queue.submissions
        try:
            with self._latencies.timed("submit"):
                view = await submissions.submit(
                    light_job(self._load.run_s), PICTURE, workers=self._load.workers
                )
            outcome = await submissions.outcome(view, BUDGET_MS / 1e3)
        except (AnysrError, ConnectionError, TimeoutError):
            self._latencies.of["failed"].append(0.0)
            return
        await submissions.drop_results([outcome.view])

    async def _take_snapshots(self) -> None:
        """Take snapshots. Only one of the gateways reads what it is sent: real ones have machines
        of their own for that."""
        registry, submissions = self._queue.registry, self._queue.submissions
        while True:
            heartbeats = registry.heartbeats() if self._reads else _unread(self._queue)
            with self._latencies.timed("snapshot"):
                await asyncio.gather(heartbeats, submissions.stats(), registry.health())
            await asyncio.sleep(SNAPSHOT_S)


async def _unread(queue: JobQueue) -> list[list[StoredState]]:
    """Receive the heartbeats of all workers without reading them."""
    if isinstance(queue, ShardedQueue):
        return await asyncio.gather(*(shard.scripts.states() for shard in queue.shards))
    assert isinstance(queue, RedisQueue)
    return [await queue.scripts.states()]
