"""The queue counts events where they happen, once, for all readers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary, embedded_redis
from jobs.job import Job, JobStatus
from jobs.keys import Keys
from jobs.queue_health import QueueHealth
from jobs.redis_queue import RedisQueue
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from tests.support.redis_server import expire_lease

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

Open = Callable[[str, QueueSettings], RedisQueue]


@pytest.fixture
def queue_settings(queue_settings: QueueSettings) -> QueueSettings:
    return queue_settings.model_copy(update={"max_attempts": 2})


def counts_of(health: QueueHealth) -> tuple[int, int, int]:
    return health.redeliveries, health.dead_letters, health.worker_starts


async def test_fresh_queue_has_counted_nothing(queue: RedisQueue) -> None:
    assert counts_of(await queue.registry.health()) == (0, 0, 0)


async def test_redeliveries_and_dead_letters_are_counted_once_for_all_readers(
    queue: RedisQueue,
    redis_url: str,
    raw_redis: Redis,
    keys: Keys,
    queue_settings: QueueSettings,
    open_queue: Open,
    make_job: Callable[..., Job],
) -> None:
    other = open_queue(redis_url, queue_settings)
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    for _ in range(2):
        claim = await queue.leases.claim("w", 1.0)
        assert claim is not None
        await expire_lease(raw_redis, keys, claim)  # the worker is lost with it
    assert await other.leases.claim("v", 0) is None
    assert (await queue.submissions.view(job.id)).status is JobStatus.FAILED
    for reader in (queue, other, queue):
        assert counts_of(await reader.registry.health()) == (1, 1, 0)


async def test_released_job_is_no_redelivery(
    queue: RedisQueue, scripts: Scripts, make_job: Callable[..., Job]
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await queue.leases.claim("w", 1.0)
    assert claim is not None
    await scripts.run("release", claim.job.id, claim.token)
    assert await queue.leases.claim("w", 1.0)
    assert counts_of(await queue.registry.health()) == (0, 0, 0)


async def test_stuck_workers_are_counted(queue: RedisQueue) -> None:
    for _ in range(2):
        await queue.registry.count_stuck_worker()
    assert (await queue.registry.health()).stuck_workers == 2


async def test_worker_starts_are_counted(queue: RedisQueue) -> None:
    for _ in range(3):
        await queue.registry.count_worker_start()
    assert counts_of(await queue.registry.health()) == (0, 0, 3)


async def test_memory_is_reported_with_the_limit_that_is_set(
    queue: RedisQueue, raw_redis: Redis
) -> None:
    before = (await raw_redis.info("memory"))["maxmemory"]
    whole = int((await raw_redis.info("memory"))["total_system_memory"])
    try:
        for limit, reported in ((2**30, 2**30), (0, whole)):
            await raw_redis.config_set("maxmemory", limit)
            [memory] = (await queue.registry.health()).memory
            assert (memory.holds, memory.limit_bytes) == ("queue", reported)
            assert 0 < memory.used_bytes < reported
    finally:
        await raw_redis.config_set("maxmemory", before)


async def test_each_redis_reports_its_own_memory(
    redis_url: str, queue_settings: QueueSettings, open_queue: Open
) -> None:
    with embedded_redis() as blob_url:
        settings = queue_settings.model_copy(update={"blob_url": blob_url})
        both = open_queue(redis_url, settings)
        assert [m.holds for m in (await both.registry.health()).memory] == ["queue", "pictures"]
        await both.close()


async def test_redis_that_does_not_report_its_memory_is_left_out(
    redis_url: str, raw_redis: Redis, queue_settings: QueueSettings, open_queue: Open
) -> None:
    """Hosted servers may forbid INFO."""
    rights = ("on", "nopass", "~*", "&*", "+@all", "-info")
    await raw_redis.execute_command("ACL", "SETUSER", "shy", *rights)
    try:
        shy = open_queue(redis_url.replace("unix://", "unix://shy:any@"), queue_settings)
        await shy.registry.count_worker_start()
        health = await shy.registry.health()
        assert (health.memory, health.worker_starts) == ((), 1)
    finally:
        await raw_redis.execute_command("ACL", "DELUSER", "shy")


async def test_most_urgent_job_is_overdue_once_it_had_to_start(
    queue: RedisQueue, make_job: Callable[..., Job], raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    assert (await queue.submissions.stats()).overdue_ms == 0
    await queue.submissions.submit(make_job(budget_ms=60_000.0), b"")
    assert (await queue.submissions.stats()).overdue_ms == 0
    await queue.submissions.submit(
        make_job(budget_ms=1000.0, cheapest_ms=10.0), b"", spent_ms=6000.0
    )
    overdue_ms = (await queue.submissions.stats()).overdue_ms
    pending = Keys(queue_settings.namespace).pending
    _, waiting = await raw_redis.zscan(pending)
    start_ms = min(float(score) for _, score in waiting)
    seconds, micros = await raw_redis.time()
    assert 5010 <= overdue_ms <= seconds * 1e3 + micros / 1e3 - start_ms
