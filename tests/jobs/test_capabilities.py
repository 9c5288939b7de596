"""A job waits for a worker that meets its requirement, blocks no other, and ends if none comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary
from jobs.errors import UnknownModel, UnknownWidth
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import LADDER, Job, JobStatus, OnMiss
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
PATIENCE_S = 10.0


def beat(*capabilities: str) -> WorkerHeartbeat:
    """The heartbeat of another worker with these capabilities."""
    return WorkerHeartbeat("other", True, (), {}, capabilities=capabilities)


async def claimed(queue: RedisQueue, *capabilities: str) -> str | None:
    claim = await queue.leases.claim("w", 0, None, lambda: capabilities)
    return claim.job.id if claim is not None else None


async def test_each_worker_gets_the_first_job_that_it_can_run(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.registry.publish_heartbeat(beat("a", "b", "b@1", LADDER))
    jobs = [
        make_job(id="first", model="a", budget_ms=1_000),
        make_job(id="second", model="b", pinned_width=1.0, budget_ms=2_000),
        make_job(id="third", model=None, budget_ms=3_000),
        make_job(id="fourth", model="b", budget_ms=4_000),
    ]
    assert [job.requirement for job in jobs] == ["a", "b@1", LADDER, "b"]
    for job in jobs:
        await queue.submissions.submit(job, b"picture")
    assert await claimed(queue, LADDER, "b") == "third"
    assert await claimed(queue, LADDER, "b") == "fourth"
    assert await claimed(queue, LADDER, "b") is None
    assert await claimed(queue, LADDER, "a", "b@1") == "first"
    assert await claimed(queue) == "second", "a worker without capabilities takes all"
    assert (await queue.submissions.stats()).queued == 0


async def test_job_reaches_only_a_worker_that_can_run_it(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.registry.publish_heartbeat(beat("a"))
    wrong = asyncio.create_task(queue.leases.claim("wrong", PATIENCE_S, None, lambda: ("b",)))
    right = asyncio.create_task(queue.leases.claim("right", PATIENCE_S, None, lambda: ("a",)))
    job, other = make_job(model="a"), make_job(model="b")
    await asyncio.sleep(0)
    for wanted, waiting in ((job, right), (other, wrong)):
        await queue.submissions.submit(wanted, b"picture")
        async with asyncio.timeout(PATIENCE_S):
            claim = await waiting
        assert claim is not None
        assert claim.job == wanted


async def test_waiting_beside_jobs_for_others_ends_at_once_when_stopped(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.registry.publish_heartbeat(beat("a"))
    await queue.submissions.submit(make_job(model="a"), b"picture")
    stopping = asyncio.Event()
    idle = asyncio.create_task(queue.leases.claim("idle", 3600, stopping, lambda: ("b",)))
    await asyncio.sleep(0)
    stopping.set()
    async with asyncio.timeout(PATIENCE_S):
        assert await idle is None


async def test_capabilities_are_read_at_each_attempt(queue: RedisQueue, make_job: MakeJob) -> None:
    capable: list[str] = ["b"]
    await queue.registry.publish_heartbeat(beat("a"))
    await queue.submissions.submit(make_job(model="a"), b"picture")
    waiting = asyncio.create_task(queue.leases.claim("w", PATIENCE_S, None, lambda: capable))
    await asyncio.sleep(0)
    capable.append("a")
    async with asyncio.timeout(PATIENCE_S):
        assert await waiting is not None


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"model": "gone"}, UnknownModel), ({"pinned_width": 0.3}, UnknownWidth)],
)
async def test_job_that_no_worker_can_run_any_more_ends_after_a_while(
    queue: RedisQueue, make_job: MakeJob, changes: dict[str, object], error: type[Exception]
) -> None:
    job = make_job(**changes)
    await queue.submissions.submit(job, b"picture")
    assert await claimed(queue, "anysr-s") is None
    assert (await queue.submissions.view(job.id)).status is JobStatus.QUEUED, (
        "a worker may be restarting"
    )
    assert await queue.leases.claim("w", 1.0, None, lambda: ("anysr-s",)) is None
    with pytest.raises(error, match=job.requirement):
        await queue.submissions.result(await queue.submissions.view(job.id))


async def test_unserved_time_starts_anew_after_a_worker_was_there(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    job = make_job(model="a")
    await queue.submissions.submit(job, b"picture")
    assert await claimed(queue, "b") is None
    await raw_redis.hset(keys.record(job.id), "unserved_ms", "1")  # unserved since 1970
    await queue.registry.publish_heartbeat(beat("a"))
    assert await claimed(queue, "b") is None
    assert (await queue.submissions.view(job.id)).status is JobStatus.QUEUED
    assert not await raw_redis.hexists(keys.record(job.id), "unserved_ms")
    assert await claimed(queue, "a") == job.id


async def test_job_left_to_other_workers_still_ends_at_its_deadline(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.registry.publish_heartbeat(beat("a"))
    job = make_job(model="a", budget_ms=1.0, on_miss=OnMiss.REJECT)
    await queue.submissions.submit(job, b"picture", spent_ms=5.0)
    assert await claimed(queue, "b") is None
    assert (await queue.submissions.view(job.id)).error_code == "deadline_exceeded"


async def test_reload_requests_are_counted(queue: RedisQueue) -> None:
    assert await queue.registry.reloads() == 0
    assert [await queue.registry.request_reload(), await queue.registry.request_reload()] == [1, 2]
    assert await queue.registry.reloads() == 2
