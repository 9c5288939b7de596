"""Waiters are woken by the end, watchers by each change, even if their connection is cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from jobs.connection import connect
from jobs.embedded_redis import Binary
from jobs.errors import JobNotFound
from jobs.event_hub import REMEMBERED, EventHub
from jobs.job import Claim, Job, JobStatus, JobView, Reason, RunFacts
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.redis_server import calls, subscribed, until_subscribed
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
LONG_S = 20.0
"""Far longer than any test takes: a waiter that is not woken fails by it."""
PAUSE_S = 0.1
"""How long a waiter is watched, to show that it reads nothing: it has no polling interval."""


async def started(queue: RedisQueue, job: Job) -> Claim:
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    return claim


async def test_waiter_is_woken_by_the_end(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    claim = await started(queue, make_job())
    waiter = asyncio.create_task(queue.submissions.wait(claim.job.id, LONG_S))
    await until_subscribed(raw_redis)
    await queue.leases.renew(claim, 0.5)
    assert not waiter.done()
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiter).status is JobStatus.SUCCEEDED


async def test_end_before_the_wait_is_seen(queue: RedisQueue, make_job: MakeJob) -> None:
    claim = await started(queue, make_job())
    await queue.leases.complete(claim, FACTS, b"result")
    assert (await queue.submissions.wait(claim.job.id, LONG_S)).status is JobStatus.SUCCEEDED


async def test_no_end_is_missed_between_subscribing_and_reading(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    claims = [await started(queue, make_job()) for _ in range(40)]

    async def end(claim: Claim, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await queue.leases.complete(claim, FACTS, b"result")

    async with asyncio.timeout(LONG_S / 2):
        views, _ = await asyncio.gather(
            asyncio.gather(*(queue.submissions.wait(claim.job.id, LONG_S) for claim in claims)),
            asyncio.gather(*(end(claim, turns) for turns, claim in enumerate(claims))),
        )
    assert {view.status for view in views} == {JobStatus.SUCCEEDED}


async def test_wait_returns_the_state_of_the_job_after_its_timeout(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    claim = await started(queue, make_job())
    assert (await queue.submissions.wait(claim.job.id, 0.05)).status is JobStatus.RUNNING
    assert (await queue.submissions.wait(claim.job.id, 0)).status is JobStatus.RUNNING


async def test_waiting_for_an_unknown_job_is_not_found(queue: RedisQueue) -> None:
    with pytest.raises(JobNotFound):
        await queue.submissions.wait("nobody", LONG_S)
    with pytest.raises(JobNotFound):
        await anext(queue.submissions.watch("nobody"))


async def test_cancel_wakes_the_waiter(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    claim = await started(queue, make_job())
    waiter = asyncio.create_task(queue.submissions.wait(claim.job.id, LONG_S))
    await until_subscribed(raw_redis)
    await queue.submissions.cancel(claim.job.id)
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiter).status is JobStatus.CANCELLED


async def test_watcher_sees_the_changes_in_order(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    watcher = queue.submissions.watch(job.id)

    async def next_view() -> JobView:
        async with asyncio.timeout(LONG_S / 2):
            return await anext(watcher)

    assert (await next_view()).status is JobStatus.QUEUED
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert (await next_view()).status is JobStatus.RUNNING
    for progress in (0.25, 0.75):
        await queue.leases.renew(claim, progress)
        view = await next_view()
        assert (view.status, view.progress) == (JobStatus.RUNNING, progress)
    await queue.leases.complete(claim, FACTS, b"result")
    assert (await next_view()).status is JobStatus.SUCCEEDED
    with pytest.raises(StopAsyncIteration):
        await next_view()


async def test_fast_job_is_watched_to_its_end(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    seen: list[JobView] = []

    async def watch() -> None:
        seen.extend([view async for view in queue.submissions.watch(job.id)])

    watching = asyncio.create_task(watch())
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    for step in range(10):
        await queue.leases.renew(claim, step / 10)
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        await watching
    assert seen[-1].status is JobStatus.SUCCEEDED
    assert [view.progress for view in seen] == sorted(view.progress for view in seen)
    assert len(seen) == len({(view.status, view.progress) for view in seen})


async def until_received(queue: RedisQueue, raw: Redis, make_job: MakeJob) -> None:
    """Wait until the queue receives every end and no job is left."""
    await queue.submissions.wait((await started(queue, make_job())).job.id, 0)
    await until_subscribed(raw)


async def test_caller_gets_its_job_and_picture_with_the_event(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis, make_job)
    for _ in range(3):
        submitted = time.monotonic()
        view = await queue.submissions.submit(make_job(), b"picture")
        before = await calls(raw_redis, "hgetall", "get")
        waiting = asyncio.create_task(queue.submissions.outcome(view, submitted, LONG_S))
        await asyncio.sleep(PAUSE_S)  # it reads nothing
        assert await calls(raw_redis, "hgetall", "get") == before
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        claimed = await calls(raw_redis, "hgetall", "get")
        assert claimed == before + 1, "the picture came along with the claim"
        await queue.leases.complete(claim, FACTS, b"result")
        async with asyncio.timeout(LONG_S / 2):
            outcome = await waiting
        assert (outcome.view.status, outcome.picture) == (JobStatus.SUCCEEDED, b"result")
        assert await calls(raw_redis, "hgetall", "get") == claimed + 1, (
            "by the script, for its event"
        )


async def test_end_before_the_wait_begins_is_not_missed(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis, make_job)
    submitted = time.monotonic()
    jobs = [make_job(budget_ms=budget_ms) for budget_ms in (1e6, 2e6)]
    first, second = [await queue.submissions.submit(job, b"picture") for job in jobs]
    waiting = asyncio.create_task(queue.submissions.outcome(second, submitted, LONG_S))
    for _ in jobs:
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        await waiting  # events keep their order: that of the first has arrived, unawaited
        outcome = await queue.submissions.outcome(first, submitted, LONG_S)
    assert outcome.view.status is JobStatus.SUCCEEDED


async def test_forgotten_ends_are_not_taken_for_running_jobs(
    redis_url: str,
) -> None:
    client = connect(redis_url)
    hub = EventHub(client, Keys("t"))
    hub.start()
    await eventually(lambda: hub.still_runs("first", time.monotonic()), "a subscription")
    submitted = time.monotonic()
    for name in ("first", *range(REMEMBERED)):
        assert hub.still_runs(str(name), submitted)
        hub._deliver({"type": "message", "channel": b"t:ended", "data": f"failed:{name}:".encode()})
        assert not hub.still_runs(str(name), submitted)
    assert not hub.still_runs("first", submitted), "forgotten, and so is that it was complete"
    assert hub.still_runs("another", time.monotonic())
    await hub.close()
    await client.aclose()


async def test_caller_survives_a_cut_connection(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis, make_job)
    submitted = time.monotonic()
    view = await queue.submissions.submit(make_job(), b"picture")
    waiting = asyncio.create_task(queue.submissions.outcome(view, submitted, LONG_S))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await raw_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await queue.leases.complete(claim, FACTS, b"result")  # nobody receives it
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiting).view.status is JobStatus.SUCCEEDED


async def test_waiter_survives_a_cut_connection(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    claims = [await started(queue, make_job()) for _ in range(3)]
    waiters = [
        asyncio.create_task(queue.submissions.wait(claim.job.id, LONG_S)) for claim in claims
    ]
    await until_subscribed(raw_redis)
    await queue.leases.complete(claims[0], FACTS, b"result")
    await raw_redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    await queue.leases.complete(claims[1], FACTS, b"result")  # nobody receives this event
    await until_subscribed(raw_redis)
    await queue.leases.complete(claims[2], FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        views = await asyncio.gather(*waiters)
    assert {view.status for view in views} == {JobStatus.SUCCEEDED}


async def test_all_waiters_share_one_connection(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    claims = [await started(queue, make_job()) for _ in range(20)]
    waiters = [
        asyncio.create_task(queue.submissions.wait(claim.job.id, LONG_S)) for claim in claims
    ]
    await until_subscribed(raw_redis)
    assert await subscribed(raw_redis) == 1
    for claim in claims:
        await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert {v.status for v in await asyncio.gather(*waiters)} == {JobStatus.SUCCEEDED}


async def test_watcher_reads_nothing_while_nothing_happens(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    claim = await started(queue, make_job())
    watcher = queue.submissions.watch(claim.job.id)
    await anext(watcher)
    await until_subscribed(raw_redis)
    await queue.leases.renew(claim, 0.5)
    async with asyncio.timeout(LONG_S / 2):
        assert (await anext(watcher)).progress == 0.5

    before = await calls(raw_redis, "hgetall")
    ending = asyncio.ensure_future(anext(watcher))
    await asyncio.sleep(PAUSE_S)  # it polls nothing
    assert (
        await calls(raw_redis, "hgetall") - before <= 2
    )  # the subscription and the renewal may each cause one
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await ending).status is JobStatus.SUCCEEDED


async def test_stray_message_is_ignored(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    claim = await started(queue, make_job())
    waiter = asyncio.create_task(queue.submissions.wait(claim.job.id, LONG_S))
    await until_subscribed(raw_redis)
    keys = Keys(queue_settings.namespace)
    for channel in (keys.ended, keys.changes):
        await raw_redis.publish(channel, b"\xff\xfe")
        await raw_redis.publish(channel, b"succeeded")
        await raw_redis.publish(channel, f"succeeded:{claim.job.id}:what".encode())
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiter).status is JobStatus.SUCCEEDED


LARGE = b"r" * ((1 << 16) + 1)
"""A result that does not come with its event."""


async def test_delivered_view_is_that_of_the_record(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis, make_job)
    for picture in (b"a:b:\xff\n", LARGE):
        submitted = time.monotonic()
        view = await queue.submissions.submit(make_job(), b"picture")
        waiting = asyncio.create_task(queue.submissions.outcome(view, submitted, LONG_S))
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        await queue.leases.complete(claim, FACTS, picture)
        async with asyncio.timeout(LONG_S / 2):
            outcome = await waiting
        assert outcome.view == await queue.submissions.view(view.job.id)
        assert outcome.picture == picture


async def test_delivered_picture_without_room_is_left_to_be_read(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis, make_job)
    submitted = time.monotonic()
    view = await queue.submissions.submit(make_job(), b"picture")
    waiting = asyncio.create_task(queue.submissions.outcome(view, submitted, LONG_S, lambda: False))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        outcome = await waiting
    assert (outcome.view.status, outcome.picture) == (JobStatus.SUCCEEDED, None)
    assert await queue.submissions.result(outcome.view) == b"result"


@pytest.mark.parametrize("damaged", [b"", b"\xff", b"%s:1:1", b"%s:1:1:nan:x:{}", b"%s:1:1:0:9:{}"])
async def test_damaged_delivery_is_ignored(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob, damaged: bytes
) -> None:
    await until_received(queue, raw_redis, make_job)
    submitted = time.monotonic()
    view = await queue.submissions.submit(make_job(), b"picture")
    waiting = asyncio.create_task(queue.submissions.outcome(view, submitted, LONG_S))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    [channel] = [name for name in await raw_redis.pubsub_channels() if b":results:" in name]
    await raw_redis.publish(channel, damaged.replace(b"%s", view.job.id.encode()))
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        outcome = await waiting
    assert (outcome.view.status, outcome.picture) == (JobStatus.SUCCEEDED, b"result")
