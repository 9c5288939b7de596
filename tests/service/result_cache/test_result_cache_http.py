"""The result cache over real HTTP and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from models.catalog import Catalog, CatalogRead
from service.catalog_store import CatalogStore
from tests.service.harness import (
    MODEL,
    RunningGateway,
    ScriptedWorker,
    Start,
    assert_problem,
    drawn,
    model_entry,
)
from tests.support.waiting import eventually


@pytest.fixture
async def cached(start: Start, worker: ScriptedWorker) -> AsyncIterator[RunningGateway]:
    """A gateway that keeps results, with a ready worker behind it."""
    async with start(cache_mb=8) as served:
        assert worker.go.is_set()
        yield served


async def post(
    served: RunningGateway,
    path: str = "/upscale",
    headers: dict[str, str] | None = None,
    picture: bytes = b"",
    **params: Any,
) -> httpx.Response:
    return await served.client.post(
        path,
        params={"scale": 2} | params,
        content=picture or drawn(),
        headers={"Content-Type": "image/png"} | (headers or {}),
    )


async def outcome(served: RunningGateway, **asked: Any) -> str:
    response = await post(served, **asked)
    assert response.status_code in (200, 202), response.text
    return response.headers["x-anysr-cache"]


async def kept(served: RunningGateway, count: int = 1) -> None:
    """Wait until so many pictures are kept."""
    pictures: Any = served.gateway.queue.cached

    async def all_there() -> bool:
        return bool(await pictures._client.zcard(pictures._keys.cached_by_use) == count)

    await eventually(all_there, f"{count} kept pictures")


async def worker_has_made(worker: ScriptedWorker, count: int) -> None:
    async def made() -> bool:
        return len(worker.claims) == count

    await eventually(made, f"{count} claims")


async def evicted(served: RunningGateway) -> bool:
    return "anysr_cache_evictions_total 1.0" in (await served.client.get("/metrics")).text


async def test_the_same_request_again_costs_no_worker(
    cached: RunningGateway, worker: ScriptedWorker
) -> None:
    first = await post(cached)
    assert first.headers["x-anysr-cache"] == "miss"
    await kept(cached)
    again = await post(cached)
    assert again.headers["x-anysr-cache"] == "hit"
    assert again.content == first.content
    assert int(again.headers["age"]) >= 0
    same = ("x-anysr-model", "x-anysr-width", "x-anysr-expected-db", "content-type")
    assert [again.headers[n] for n in same] == [first.headers[n] for n in same]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert again.headers["x-anysr-deadline"] == "met"
    assert len(worker.claims) == 1


@pytest.mark.parametrize("path", ["/upscale", "/jobs"])
async def test_an_altered_picture_is_made_again(
    cached: RunningGateway, worker: ScriptedWorker, raw_redis: Redis, path: str
) -> None:
    first = await post(cached)
    await kept(cached)
    pictures: Any = cached.gateway.queue.cached
    (name,) = await raw_redis.keys(f"{pictures._keys.cached_pictures}*")
    await raw_redis.setrange(name, 40, b"other")
    again = await post(cached, path)
    assert again.headers["x-anysr-cache"] == "miss"
    if path == "/upscale":
        assert again.content == first.content
    await worker_has_made(worker, 2)


async def test_without_a_cache_nothing_is_said_of_it(served: RunningGateway) -> None:
    assert "x-anysr-cache" not in (await post(served)).headers


@pytest.mark.parametrize(
    "other",
    [{"scale": 3}, {"format": "jpeg"}, {"metadata": "none"}, {"picture": drawn(20, 14)}],
)
async def test_another_picture_or_option_is_another_result(
    cached: RunningGateway, other: dict[str, Any]
) -> None:
    await post(cached)
    await kept(cached)
    assert await outcome(cached, **other) == "miss"


async def test_a_wider_result_answers_a_smaller_budget_and_never_the_reverse(
    cached: RunningGateway, worker: ScriptedWorker
) -> None:
    assert await outcome(cached, anysr_width=0.25) == "miss"
    await kept(cached)
    assert await outcome(cached, anysr_width=0.25) == "hit"
    assert await outcome(cached) == "miss"
    await kept(cached, 2)
    assert await outcome(cached, latency_budget_ms=80) == "hit"
    assert await outcome(cached, min_db=32) == "hit"
    assert await outcome(cached, min_width=0.5) == "hit"
    assert len(worker.claims) == 2


async def test_a_budget_too_small_for_a_run_is_met_by_the_cache(cached: RunningGateway) -> None:
    wishes: dict[str, Any] = {"latency_budget_ms": 40, "on_miss": "reject"}
    assert_problem(await post(cached, **wishes), 422, "budget_infeasible")
    await post(cached)
    await kept(cached)
    assert await outcome(cached, latency_budget_ms=10_000, on_miss="reject") == "hit"
    # Its budget runs while it is answered, on a machine that may be busy: then it is a miss.
    answer = await post(cached, **wishes)
    assert answer.status_code == 200 or answer.json()["code"] == "budget_infeasible"


async def test_what_the_caller_forbids(cached: RunningGateway, worker: ScriptedWorker) -> None:
    no_store, no_cache = {"Cache-Control": "no-store"}, {"Cache-Control": "no-cache"}
    answer = await post(cached, headers=no_store)
    assert "x-anysr-cache" not in answer.headers
    assert await outcome(cached) == "miss"
    await kept(cached)
    assert "x-anysr-cache" not in (await post(cached, headers=no_store)).headers
    assert await outcome(cached, headers=no_cache) == "miss"
    assert await outcome(cached, headers={"Cache-Control": "max-age=3000"}) == "hit"
    assert await outcome(cached, headers={"Cache-Control": "max-age=0"}) == "miss"
    assert len(worker.claims) == 5


async def test_a_cached_result_needs_no_ready_worker_if_it_is_the_best(
    start: Start, queue: RedisQueue
) -> None:
    worker = ScriptedWorker(queue)
    worker.go.set()
    running = asyncio.create_task(worker.run())
    async with start(cache_mb=8) as served:
        await eventually(lambda: served.gateway.snapshots.current.ready, "a snapshot")
        await post(served)
        await post(served, picture=drawn(24), anysr_width=0.25)
        await kept(served, 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await queue.registry.retire_worker(worker.worker_id)
        await eventually(lambda: not served.gateway.snapshots.current.ready, "a snapshot")
        assert await outcome(served) == "hit"
        assert_problem(await post(served, picture=drawn(24)), 503, "not_ready")


async def test_new_weights_never_answer_by_old_pictures(
    start: Start, worker: ScriptedWorker
) -> None:
    entry = model_entry(MODEL)
    weights = entry.weights.model_copy(update={"sha256": "1" * 64})
    renewed = entry.model_copy(update={"weights": weights})
    catalogs = [Catalog(default=MODEL, models=(e,)) for e in (entry, renewed)]
    store = CatalogStore(lambda running: CatalogRead(catalogs[0 if running is None else 1]))
    async with start(store, cache_mb=8) as served:
        await post(served)
        await kept(served)
        assert await outcome(served) == "hit"
        store.reload_requests.observe(1)
        store.reload_requests.observe(2)
        await eventually(lambda: store.catalog is catalogs[1], "the new catalog")
        assert await outcome(served) == "miss"
    assert len(worker.claims) == 2


async def test_a_job_is_done_at_once(cached: RunningGateway, worker: ScriptedWorker) -> None:
    first = await post(cached)
    await kept(cached)
    submitted = await post(cached, "/jobs")
    job = submitted.json()
    assert (submitted.status_code, job["status"]) == (202, "succeeded")
    assert submitted.headers["x-anysr-cache"] == "hit"
    result = await cached.client.get(job["links"]["result"])
    assert result.content == first.content
    assert (await cached.client.get(job["links"]["self"])).json()["status"] == "succeeded"
    assert len(worker.claims) == 1


async def test_the_result_of_a_job_is_kept_and_stays_its_own(cached: RunningGateway) -> None:
    job = await cached.submit(scale=2)
    links = job["links"]

    async def result() -> httpx.Response:
        return await cached.client.get(links["result"])

    await cached.gateway.queue.submissions.wait(job["id"], 5)
    await eventually(lambda: not cached.gateway.dispatcher._background, "the end of the job")
    await kept(cached)
    hit = await post(cached)
    assert hit.headers["x-anysr-cache"] == "hit"
    assert hit.content == (await result()).content


async def test_an_idempotency_key_binds_a_hit_as_well(cached: RunningGateway) -> None:
    await post(cached)
    await kept(cached)
    key = {"Idempotency-Key": "k"}
    first = await post(cached, headers=key)
    again = await post(cached, headers=key)
    assert first.headers["x-anysr-cache"] == again.headers["x-anysr-cache"] == "hit"
    assert first.headers["x-request-id"] == again.headers["x-request-id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert again.content == first.content
    reused = await post(cached, headers=key, scale=3)
    assert_problem(reused, 422, "idempotency_key_reused")


async def test_the_least_recently_used_are_dropped(
    start: Start, worker: ScriptedWorker, queue_settings: QueueSettings, raw_redis: Any
) -> None:
    worker.picture = bytes(100 << 10)
    keys = Keys(queue_settings.namespace)
    redis = raw_redis
    async with start(cache_mb=1) as served:
        assert served.gateway.cache is not None
        for width in range(20, 30):
            await post(served, picture=drawn(width))
            await kept(served, width - 19)
        assert await outcome(served, picture=drawn(20)) == "hit"
        await post(served, picture=drawn(30))
        await eventually(partial(evicted, served), "an eviction")
        assert await outcome(served, picture=drawn(20)) == "hit"
        assert int(await redis.hget(keys.cached_sizes, "total") or 0) == 1000 << 10
        assert await redis.exists(*[n async for n in redis.scan_iter(f"{keys.cached_pictures}*")])
        assert await outcome(served, picture=drawn(21)) == "miss"
        worker.picture = bytes(200 << 10)
        job = (await post(served, "/jobs", picture=drawn(40))).json()
        await served.gateway.queue.submissions.wait(job["id"], 5)
        await eventually(lambda: not served.gateway.dispatcher._background, "the end of the job")
        await served.gateway.cache.close()
        assert await outcome(served, picture=drawn(40)) == "miss"


async def test_two_gateways_share_the_cache_and_its_bounds(
    start: Start, worker: ScriptedWorker
) -> None:
    async with start(cache_mb=8) as one, start(cache_mb=8) as other:
        await post(one)
        await kept(one)
        assert await outcome(other) == "hit"
    assert len(worker.claims) == 1


async def test_an_old_picture_answers_no_more(
    start: Start, worker: ScriptedWorker, queue_settings: QueueSettings, raw_redis: Any
) -> None:
    keys = Keys(queue_settings.namespace)
    redis = raw_redis
    async with start(cache_mb=8, cache_seconds=60) as served:
        assert worker.go.is_set()
        await post(served)
        await kept(served)
        (group,) = [name async for name in redis.scan_iter(f"{keys.cached_groups}*")]
        for field, text in (await redis.hgetall(group)).items():
            moment, rest = text.split(b" ", 1)
            await redis.hset(group, field, b"%d %s" % (int(moment) - 61_000, rest))
        assert await outcome(served) == "miss"
        await kept(served)
        (name,) = await redis.zrange(keys.cached_by_use, 0, -1)
        await redis.zadd(keys.cached_by_expiry, {name: 1})
        assert served.gateway.cache is not None
        dropped = await served.gateway.queue.cached.drop_old(served.gateway.cache._bounds)
        assert dropped.total_bytes == 0
        assert await outcome(served) == "miss"


async def test_damaged_or_missing_parts_are_a_miss(
    cached: RunningGateway, queue_settings: QueueSettings, raw_redis: Any
) -> None:
    keys = Keys(queue_settings.namespace)
    redis = raw_redis
    await post(cached)
    await kept(cached)
    (name,) = await redis.zrange(keys.cached_by_use, 0, -1)
    await redis.delete(keys.cached_picture(name.decode()))
    assert await outcome(cached) == "miss"
    await kept(cached)
    (group,) = [found async for found in redis.scan_iter(f"{keys.cached_groups}*")]
    for field in await redis.hkeys(group):
        await redis.hset(group, field, b"not a record")
    assert await outcome(cached) == "miss"
    await kept(cached)
    await redis.set(group, b"of the wrong type")
    assert await outcome(cached) == "miss"
