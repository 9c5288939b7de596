"""A gateway dies or stops within a batch: another one goes on, and makes nothing twice."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import httpx
from redis.asyncio import Redis

from jobs.keys import Keys
from jobs.queue import BatchHold, BatchLease
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.service.batches.conftest import fetching
from tests.service.batches.driving import ended, items_of, posted, shown, sources_of
from tests.service.gateway_process import gateway_process
from tests.service.harness import ScriptedWorker, Start, drawn
from tests.support.remote import Remote, hang
from tests.support.waiting import eventually

TEN = tuple(f"/{number}" for number in range(10))


async def expire(raw: Redis, keys: Keys) -> None:
    """Let all leases of batches run out, as time would."""
    names: Any = await raw.zrange(keys.batches, 0, -1)
    for name in names:
        await raw.zadd(keys.batches, {name: 0}, xx=True)


async def test_a_killed_gateway_loses_no_source_and_none_is_made_twice(
    start: Start,
    worker: ScriptedWorker,
    remote: Remote,
    redis_url: str,
    queue_settings: QueueSettings,
    raw_redis: Redis,
    keys: Keys,
) -> None:
    remote.answers["/9"] = hang  # its fetch is in progress when the gateway dies
    worker.go.clear()
    settings = fetching(remote, batch_jobs=4)
    paths = ("/0", "/1", "/9", *TEN[2:9])
    with gateway_process(redis_url, queue_settings.namespace, **settings) as gateway:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}") as client:
            batch = await posted(client, sources_of(remote, *paths))

            async def begun() -> bool:
                running = (await shown(client, batch))["counts"]["running"]
                fetching_it = any(received.path == "/9" for received in remote.received)
                return running == 4 and fetching_it and worker.claimed.is_set()

            await eventually(begun, "a batch of which some sources are made and one is fetched")
        os.kill(gateway.pid, signal.SIGKILL)
    remote.serves("/9", drawn(29, 12))
    async with start(**settings) as served:
        await expire(raw_redis, keys)
        worker.go.set()
        over = await ended(served.client, batch)
        assert over["status"] == "finished"
        assert over["counts"]["succeeded"] == 10
        items = await items_of(served.client, batch)
        assert [item["name"] for item in items] == list(paths)
        for item in items:
            assert (await served.client.get(item["links"]["result"])).status_code == 200
    made = [claim.job.id for claim in worker.claims]
    assert sorted(made) == sorted(item["job_id"] for item in items)


async def test_a_killed_gateways_batch_can_be_cancelled(
    start: Start,
    worker: ScriptedWorker,
    remote: Remote,
    redis_url: str,
    queue_settings: QueueSettings,
    raw_redis: Redis,
    keys: Keys,
) -> None:
    worker.go.clear()
    settings = fetching(remote, batch_jobs=4)
    with gateway_process(redis_url, queue_settings.namespace, **settings) as gateway:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}") as client:
            batch = await posted(client, sources_of(remote, *TEN))
            async with asyncio.timeout(30):
                await worker.claimed.wait()
        os.kill(gateway.pid, signal.SIGKILL)
    async with start(**settings) as served:
        await served.client.delete(batch["links"]["self"])
        await expire(raw_redis, keys)
        over = await ended(served.client, batch)
        assert (over["status"], over["counts"]["cancelled"]) == ("cancelled", 10)
        assert (await served.stats()).queued == 0


async def test_a_gateway_that_stops_hands_its_batches_on_at_once(
    start: Start, worker: ScriptedWorker, remote: Remote
) -> None:
    worker.go.clear()
    async with start(**fetching(remote)) as first:
        batch = await posted(first.client, sources_of(remote, *TEN))
        async with asyncio.timeout(10):
            await worker.claimed.wait()
    async with start(**fetching(remote)) as second:
        worker.go.set()
        over = await ended(second.client, batch)
        assert over["counts"]["succeeded"] == 10
    assert len({claim.job.id for claim in worker.claims}) == len(worker.claims) == 10


async def test_a_lost_lease_writes_nothing(
    start: Start,
    worker: ScriptedWorker,
    remote: Remote,
    queue: RedisQueue,
    raw_redis: Redis,
    keys: Keys,
) -> None:
    worker.go.clear()
    async with start(**fetching(remote, batch_jobs=2)) as served:
        batch = await posted(served.client, sources_of(remote, "/0", "/1"))
        async with asyncio.timeout(10):
            await worker.claimed.wait()
        lease = await _taken(queue, raw_redis, keys)
        (item, _) = await queue.batches.items(batch["id"], 0, 10)
        stale = BatchLease(lease.batch_id, "0")
        assert await queue.batches.record(stale, 0, item) is BatchHold.LOST
        assert await queue.batches.renew(lease) is BatchHold.HELD
        await queue.batches.release(lease)  # the gateway takes it again, and finds the jobs
        worker.go.set()
        over = await ended(served.client, batch)
    assert over["counts"]["succeeded"] == 2
    assert len(worker.claims) == 2


async def _taken(queue: RedisQueue, raw: Redis, keys: Keys) -> BatchLease:
    """Lease what another gateway holds, whatever it does meanwhile."""
    leases: list[BatchLease] = []

    async def taken() -> bool:
        await expire(raw, keys)
        leases.extend(await queue.batches.claim(1))
        return bool(leases)

    await eventually(taken, "the lease of a batch")
    return leases[0]
