"""Waiters are woken by the end, watchers by each change, even if their connection is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from jobs.connection import connect
from jobs.embedded_redis import Binary
from jobs.errors import JobNotFound
from jobs.event_hub import EventHub
from jobs.job import Claim, Job, JobStatus, JobView, Reason, RunFacts
from jobs.job_event import JobEvent
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.redis_server import calls, subscribed, until_subscribed
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
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


async def until_received(queue: RedisQueue, raw: Redis) -> None:
    """Wait until the queue receives the ends of its jobs and none is left."""
    hub = queue.submissions._hub
    hub.start()
    await until_subscribed(raw)
    await eventually(lambda: hub._receiving, "the queue receives its channel")


async def test_caller_gets_its_job_and_picture_with_the_event(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis)
    for _ in range(3):
        view = await queue.submissions.submit(make_job(), b"picture")
        before = await calls(raw_redis, "hgetall", "get")
        waiting = asyncio.create_task(queue.submissions.outcome(view, LONG_S))
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
    await until_received(queue, raw_redis)
    jobs = [make_job(budget_ms=budget_ms) for budget_ms in (1e6, 2e6)]
    first, second = [await queue.submissions.submit(job, b"picture") for job in jobs]
    waiting = asyncio.create_task(queue.submissions.outcome(second, LONG_S))
    for _ in jobs:
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        await waiting  # events keep their order: that of the first has arrived, unawaited
        outcome = await queue.submissions.outcome(first, LONG_S)
    assert outcome.view.status is JobStatus.SUCCEEDED


async def test_jobs_beyond_those_that_are_remembered_are_read(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.event_hub.MOST_OWN", 3)
    client = connect(redis_url)
    hub = EventHub(client, Keys("t"))

    def submit(job_id: str) -> None:
        with hub.submitting(job_id) as accept:
            accept()

    submit("before")
    assert not hub.awaits("before"), "its end may come before the channel is received"

    def receiving() -> bool:
        submit("probe")
        return hub.awaits("probe")

    await eventually(receiving, "a subscription")
    for job_id in "abc":
        submit(job_id)
    with hub.submitting("refused"):
        pass
    assert [job_id for job_id in ("probe", *"abc", "refused") if hub.awaits(job_id)] == ["b", "c"]
    hub._deliver([b"message", hub.channel.encode(), b"failed:b:"])
    assert not hub.awaits("b")
    await hub.close()
    await client.aclose()


async def test_caller_survives_a_cut_connection(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    await until_received(queue, raw_redis)
    view = await queue.submissions.submit(make_job(), b"picture")
    waiting = asyncio.create_task(queue.submissions.outcome(view, LONG_S))
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
    for channel in (keys.end_of(claim.job.id), queue.submissions._hub.channel):
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
    await until_received(queue, raw_redis)
    for picture in (b"a:b:\xff\n", LARGE):
        view = await queue.submissions.submit(make_job(), b"picture")
        waiting = asyncio.create_task(queue.submissions.outcome(view, LONG_S))
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
    await until_received(queue, raw_redis)
    view = await queue.submissions.submit(make_job(), b"picture")
    waiting = asyncio.create_task(queue.submissions.outcome(view, LONG_S, lambda: False))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        outcome = await waiting
    assert (outcome.view.status, outcome.picture) == (JobStatus.SUCCEEDED, None)
    assert await queue.submissions.result(outcome.view) == b"result"


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff",
        b"succeeded",
        b"succeeded:%s:1:1",
        b"succeeded:%s:1:1:nan:x:{}",
        b"succeeded:%s:1:1:0:9:{}",
    ],
)
async def test_damaged_delivery_is_ignored(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob, damaged: bytes
) -> None:
    await until_received(queue, raw_redis)
    view = await queue.submissions.submit(make_job(), b"picture")
    waiting = asyncio.create_task(queue.submissions.outcome(view, LONG_S))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    channel = queue.submissions._hub.channel
    await raw_redis.publish(channel, damaged.replace(b"%s", view.job.id.encode()))
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        outcome = await waiting
    assert (outcome.view.status, outcome.picture) == (JobStatus.SUCCEEDED, b"result")


async def test_gateways_hear_only_of_what_they_await(
    redis_url: str,
    raw_redis: Redis,
    queue: RedisQueue,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever follows a job of another gateway hears of it, and of no other."""
    heard: dict[str, list[str]] = {}
    deliver = EventHub._hand_over

    def noted(hub: EventHub, event: JobEvent) -> None:
        heard.setdefault(hub.channel, []).append(event.name)
        deliver(hub, event)

    monkeypatch.setattr(EventHub, "_hand_over", noted)
    second = open_queue(redis_url, queue_settings)
    for gateway in (queue, second):
        await until_received(gateway, raw_redis)
    claims = [await started(queue, make_job()) for _ in range(5)]
    waiting = asyncio.create_task(second.submissions.wait(claims[3].job.id, LONG_S))
    watching = asyncio.create_task(_to_the_end(second, claims[4].job.id))
    await eventually(lambda: _followed(raw_redis, 3), "two ends and the changes of one job")
    for claim in claims:
        await queue.leases.renew(claim, 0.5)
        await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiting).status is JobStatus.SUCCEEDED
        assert await watching is JobStatus.SUCCEEDED
        own = await started(second, make_job())
        await queue.leases.complete(own, FACTS, b"result")
        # Messages keep their order: whatever came before this one has been heard.
        await second.submissions.wait(own.job.id, LONG_S)
    hubs = [gateway.submissions._hub for gateway in (queue, second)]
    assert heard[hubs[0].channel] == [claim.job.id for claim in claims]
    followed, watched = claims[3].job.id, claims[4].job.id
    assert heard[hubs[1].channel] == [followed, watched, watched, own.job.id]
    await eventually(lambda: _followed(raw_redis, 0), "nothing is followed any more")


async def _to_the_end(queue: RedisQueue, job_id: str) -> JobStatus:
    states = [view.status async for view in queue.submissions.watch(job_id)]
    return states[-1]


async def _followed(raw: Redis, count: int) -> bool:
    return len(await raw.pubsub_channels("*:events:*")) == count


async def test_gateway_that_starts_again_finds_the_ends_of_its_jobs(
    redis_url: str,
    queue: RedisQueue,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    raw_redis: Redis,
    make_job: MakeJob,
) -> None:
    before = open_queue(redis_url, queue_settings)
    claim = await started(before, make_job())
    await before.close()
    waiting = asyncio.create_task(queue.submissions.wait(claim.job.id, LONG_S))
    await eventually(lambda: _followed(raw_redis, 1), "a job that is followed")
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiting).status is JobStatus.SUCCEEDED


async def test_repeated_submission_follows_the_job_of_the_other_gateway(
    redis_url: str,
    queue: RedisQueue,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    raw_redis: Redis,
    make_job: MakeJob,
) -> None:
    other, job = open_queue(redis_url, queue_settings), make_job()
    for gateway in (queue, other):
        await until_received(gateway, raw_redis)
    await queue.submissions.submit(job, b"picture")
    view = await other.submissions.submit(job, b"picture")
    waiting = asyncio.create_task(other.submissions.outcome(view, LONG_S))
    await eventually(lambda: _followed(raw_redis, 1), "a job that is followed")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiting).picture == b"result"


async def test_lost_message_costs_a_while_and_no_end(
    queue: RedisQueue,
    raw_redis: Redis,
    keys: Keys,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobs.waiting.MISSED_S", 0.05)
    await until_received(queue, raw_redis)
    view = await queue.submissions.submit(make_job(), b"picture")
    await raw_redis.hset(keys.record(view.job.id), "gateway", "nobody")
    waiting = asyncio.create_task(queue.submissions.outcome(view, LONG_S))
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiting).view.status is JobStatus.SUCCEEDED
