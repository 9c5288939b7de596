"""A damaged record harms its own job and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary
from jobs.errors import DataLoss, JobNotFound
from jobs.job import Job, LeaseState, Reason, RunFacts
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
Damage = Callable[[Redis, str], Awaitable[None]]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)


def fields(**values: str) -> Damage:
    async def damage(raw: Redis, record: str) -> None:
        for name, value in values.items():
            await raw.hset(record, name, value)

    return damage


async def deleted(raw: Redis, record: str) -> None:
    await raw.delete(record)


async def emptied(raw: Redis, record: str) -> None:
    await raw.hdel(record, "job", "deadline_ms", "start_ms", "attempt", "submitted_ms")


async def retyped(raw: Redis, record: str) -> None:
    await raw.set(record, "not a hash")


DAMAGES = {
    "no JSON": fields(job="{"),
    "other JSON": fields(job='{"id": 1}'),
    "no number": fields(deadline_ms="soon", submitted_ms="", start_ms="x", attempt="y"),
    "no status": fields(status="asleep"),
    "gone": deleted,
    "emptied": emptied,
    "another type": retyped,
}


@pytest.fixture(params=list(DAMAGES))
def damage(request: pytest.FixtureRequest) -> Damage:
    return DAMAGES[request.param]


async def test_workers_get_past_a_damaged_record(
    queue: RedisQueue,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    make_job: MakeJob,
    damage: Damage,
) -> None:
    bad, good = make_job(budget_ms=1_000.0), make_job()
    for job in (bad, good):
        await queue.submissions.submit(job, b"picture")
    await damage(raw_redis, Keys(queue_settings.namespace).record(bad.id))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert claim.job == good
    assert await queue.leases.complete(claim, FACTS, b"result")
    assert await queue.leases.claim("w", 0) is None
    stats = await queue.submissions.stats()
    assert (stats.queued, stats.running) == (0, 0)


async def test_damaged_record_leaves_nothing_in_the_sums(
    queue: RedisQueue,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    make_job: MakeJob,
    damage: Damage,
) -> None:
    keys = Keys(queue_settings.namespace)
    bad, good, later = (make_job(budget_ms=ms, cheapest_ms=7.0) for ms in (1e6, 2e6, 3e6))
    for job in (bad, good, later):
        await queue.submissions.submit(job, b"picture")
    await damage(raw_redis, keys.record(bad.id))
    claim = await queue.leases.claim("w", 0)
    while claim is not None and claim.job != good:  # some damage leaves a job that can be run
        claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert [cost for _, cost, *_ in claim.backlog.waiting] == [7.0]
    stats = await queue.submissions.stats()
    assert (stats.queued, stats.backlog_ms) == (1, 7.0)
    assert await raw_redis.hkeys(keys.entries) == [later.id.encode()]


async def test_record_damaged_during_its_run_stops_no_worker(
    queue: RedisQueue,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    make_job: MakeJob,
    damage: Damage,
) -> None:
    keys = Keys(queue_settings.namespace)
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await damage(raw_redis, keys.record(job.id))
    assert await queue.leases.renew(claim, 0.5) in LeaseState
    await queue.leases.report_stopped(claim)
    await raw_redis.zadd(keys.leases, {job.id: 0.0}, xx=True)
    for _ in range(queue_settings.max_attempts + 1):
        await queue.leases.claim("w", 0)
        await raw_redis.zadd(keys.leases, {job.id: 0.0}, xx=True)
    stats = await queue.submissions.stats()
    assert (stats.queued, stats.running) == (0, 0)


async def test_caller_of_a_damaged_job_learns_that_it_is(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    record = Keys(queue_settings.namespace).record(job.id)
    await raw_redis.hset(record, "error_code", "no_such_code")
    with pytest.raises(DataLoss, match="record"):
        await queue.submissions.view(job.id)
    await raw_redis.hset(record, "job", "{")
    with pytest.raises(DataLoss, match="record"):
        await queue.submissions.view(job.id)
    await retyped(raw_redis, record)
    with pytest.raises(DataLoss, match="record"):
        await queue.submissions.view(job.id)
    await deleted(raw_redis, record)
    with pytest.raises(JobNotFound):
        await queue.submissions.view(job.id)
