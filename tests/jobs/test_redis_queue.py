"""Submissions: how jobs are accepted, refused, withdrawn, viewed and deleted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary, embedded_redis
from jobs.errors import (
    BudgetInfeasible,
    InternalError,
    JobCancelled,
    JobNotFinished,
    JobNotFound,
    Overloaded,
    ResultExpired,
)
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Job, JobStatus, JobView, LeaseState, Reason, RunFacts
from jobs.keys import Keys
from jobs.queue import JobQueue
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
FACTS = RunFacts("anysr-s", 0.5, Reason.SLACK, 20.0, 21.5, {"network": 12.0}, 31.2, 4)


@pytest.fixture
async def small_queue(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue
) -> RedisQueue:
    """A queue in which two jobs may wait."""
    return open_queue(redis_url, queue_settings.model_copy(update={"queue_limit": 2}))


async def names(raw: Redis, settings: QueueSettings) -> set[str]:
    return {name.decode() async for name in raw.scan_iter(f"{Keys(settings.namespace).tag}:*")}


async def test_redis_queue_is_a_job_queue(queue: RedisQueue) -> None:
    contract: JobQueue = queue
    assert await contract.leases.claim("w", 0) is None


async def test_submitted_job_waits_until_its_deadline(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job(budget_ms=500.0)
    view = await queue.submissions.submit(job, b"picture", spent_ms=120.0)
    assert (view.job, view.status, view.attempt, view.progress) == (job, JobStatus.QUEUED, 0, 0)
    assert view.deadline_ms - view.submitted_ms == pytest.approx(380.0, abs=0.01)
    assert await queue.submissions.view(job.id) == view


async def test_job_from_submission_to_result(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    submitted = await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert (claim.job, claim.payload, claim.attempt) == (job, b"picture", 1)
    assert claim.deadline_ms == submitted.deadline_ms
    assert submitted.submitted_ms <= claim.claimed_ms
    assert (await queue.submissions.view(job.id)).status is JobStatus.RUNNING
    with pytest.raises(JobNotFinished):
        await queue.submissions.result(await queue.submissions.view(job.id))
    assert await queue.leases.complete(claim, FACTS, b"result")
    view = await queue.submissions.view(job.id)
    assert (view.status, view.facts, view.progress) == (JobStatus.SUCCEEDED, FACTS, 1.0)
    assert view.finished_ms is not None
    assert view.finished_ms >= claim.claimed_ms
    assert await queue.submissions.result(await queue.submissions.view(job.id)) == b"result"


async def test_submitting_again_changes_nothing(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    first = await queue.submissions.submit(job, b"picture")
    assert await queue.submissions.submit(job, b"another") == first
    assert (await queue.submissions.stats()).queued == 1
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert claim.payload == b"picture"


async def test_error_comes_back_as_it_was(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert await queue.leases.fail(claim, BudgetInfeasible("too little", smallest_feasible_ms=70.5))
    view = await queue.submissions.view(job.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, "budget_infeasible")
    with pytest.raises(BudgetInfeasible, match="too little") as caught:
        await queue.submissions.result(await queue.submissions.view(job.id))
    assert caught.value.details == {"smallest_feasible_ms": 70.5}


async def test_unknown_job_is_not_found(queue: RedisQueue) -> None:
    for call in (queue.submissions.view, queue.submissions.cancel):
        with pytest.raises(JobNotFound):
            await call("nobody")


async def test_cancelling_a_queued_job(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert (await queue.submissions.cancel(job.id)).status is JobStatus.CANCELLED
    assert await queue.leases.claim("w", 0) is None
    with pytest.raises(JobCancelled):
        await queue.submissions.result(await queue.submissions.view(job.id))


async def test_cancelling_a_running_job(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert (await queue.submissions.cancel(job.id)).status is JobStatus.CANCELLED
    assert await queue.leases.renew(claim, 0.5) is LeaseState.CANCELLED
    assert not await queue.leases.complete(claim, FACTS, b"result")
    assert not await queue.leases.fail(claim, InternalError())
    assert (await queue.submissions.view(job.id)).status is JobStatus.CANCELLED


async def test_ended_job_cannot_be_cancelled(queue: RedisQueue, make_job: MakeJob) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    assert (await queue.submissions.cancel(job.id)).status is JobStatus.SUCCEEDED
    assert await queue.submissions.result(await queue.submissions.view(job.id)) == b"result"


async def test_full_queue_refuses_and_stores_nothing(
    small_queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    for _ in range(2):
        await small_queue.submissions.submit(make_job(cheapest_ms=10_000.0), b"picture")
    before = await names(raw_redis, queue_settings)
    with pytest.raises(Overloaded) as caught:
        await small_queue.submissions.submit(make_job(), b"picture")
    assert caught.value.details == {"retry_after_s": 20}
    assert await names(raw_redis, queue_settings) == before


async def test_time_to_retry_counts_the_workers_that_the_gateway_knows(
    small_queue: RedisQueue, make_job: MakeJob
) -> None:
    for _ in range(2):
        await small_queue.submissions.submit(make_job(cheapest_ms=10_000.0), b"picture")
    with pytest.raises(Overloaded) as caught:
        await small_queue.submissions.submit(make_job(budget_ms=1e6), b"picture", workers=2)
    assert caught.value.details == {"retry_after_s": 10}


async def test_a_refusal_of_a_full_queue_takes_one_call_to_the_server(
    small_queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    for worker in range(50):
        await small_queue.registry.publish_heartbeat(
            WorkerHeartbeat(f"w{worker}", True, ("anysr-s",), {})
        )
    for _ in range(2):
        await small_queue.submissions.submit(make_job(), b"picture")
    before = await calls(raw_redis)
    with pytest.raises(Overloaded):
        await small_queue.submissions.submit(make_job(), b"picture")
    after = await calls(raw_redis)
    assert after["evalsha"] == before["evalsha"] + 1
    assert after["get"] == before["get"]


async def calls(server: Redis) -> Counter[str]:
    """The calls of each command that a server has run."""
    stats = await server.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): of["calls"] for name, of in stats.items()})


async def test_submitting_at_once_never_overfills(
    small_queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    async def submit() -> JobView | None:
        try:
            return await small_queue.submissions.submit(make_job(), b"picture")
        except Overloaded:
            return None

    accepted = [view for view in await asyncio.gather(*(submit() for _ in range(20))) if view]
    assert len(accepted) == 2
    payloads = {name for name in await names(raw_redis, queue_settings) if ":payload:" in name}
    assert payloads == {Keys(queue_settings.namespace).payload(v.job.id) for v in accepted}


async def test_stats_sum_up_the_waiting_jobs(queue: RedisQueue, make_job: MakeJob) -> None:
    empty = await queue.submissions.stats()
    assert (empty.queued, empty.running, empty.oldest_age_ms, empty.backlog_ms) == (0, 0, 0, 0)
    for cheapest_ms in (10_000.0, 20_000.0, 30_000.0):
        await queue.submissions.submit(make_job(cheapest_ms=cheapest_ms), b"picture")
    await queue.leases.claim("w", 0)
    stats = await queue.submissions.stats()
    assert (stats.queued, stats.running) == (2, 1)
    assert stats.oldest_age_ms > 0
    assert stats.backlog_ms == pytest.approx(30_000.0)  # the costliest had to start first


async def test_everything_stored_for_an_ended_job_expires(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    job, keys = make_job(), Keys(queue_settings.namespace)
    await queue.submissions.submit(job, b"picture")
    assert 0 < await raw_redis.ttl(keys.payload(job.id)) <= queue_settings.payload_ttl_seconds
    assert await raw_redis.ttl(keys.record(job.id)) == -1
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    result = keys.result(job.id, claim.token)
    assert not await raw_redis.exists(keys.payload(job.id))
    assert 0 < await raw_redis.ttl(result) <= queue_settings.result_ttl_seconds
    assert 0 < await raw_redis.ttl(keys.record(job.id)) <= queue_settings.job_ttl_seconds
    left = await names(raw_redis, queue_settings)
    assert left == {keys.record(job.id), result, keys.tokens, keys.demand}
    assert await raw_redis.ttl(keys.demand) > 0


async def test_an_expired_result_is_reported_as_such(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    await raw_redis.delete(Keys(queue_settings.namespace).result(job.id, claim.token))
    with pytest.raises(ResultExpired):
        await queue.submissions.result(await queue.submissions.view(job.id))
    assert (await queue.submissions.view(job.id)).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("apart", [False, True])
async def test_a_dropped_result_leaves_the_record(
    redis_url: str,
    open_queue: OpenQueue,
    queue_settings: QueueSettings,
    make_job: MakeJob,
    apart: bool,
) -> None:
    blobs = redis_url if apart else None
    queue = open_queue(redis_url, queue_settings.model_copy(update={"blob_url": blobs}))
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, b"result")
    view = await queue.submissions.view(job.id)
    assert await queue.submissions.result_bytes(view) == len(b"result")
    await queue.submissions.drop_results([view])
    assert await queue.submissions.result_bytes(view) == 0
    with pytest.raises(ResultExpired):
        await queue.submissions.result(view)
    assert await queue.submissions.view(job.id) == view


async def test_a_picture_is_left_unread_where_it_is_not_wanted(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    for wanted in (False, True):
        with_picture = Mock(return_value=wanted)
        job = make_job()
        view = await queue.submissions.submit(job, b"picture")
        waiting = asyncio.create_task(queue.submissions.outcome(view, 5, with_picture))
        claim = await queue.leases.claim("w", 1)
        assert claim is not None
        await queue.leases.complete(claim, FACTS, b"result")
        outcome = await waiting
        assert outcome.view.status is JobStatus.SUCCEEDED
        assert with_picture.call_count <= 1
        assert outcome.picture == (b"result" if wanted and with_picture.called else None)


async def test_pictures_may_live_in_a_second_redis(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    job = make_job()
    with embedded_redis() as blob_url:
        queue = open_queue(redis_url, queue_settings.model_copy(update={"blob_url": blob_url}))
        await queue.submissions.submit(job, b"picture")
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        assert claim.payload == b"picture"
        await queue.leases.complete(claim, FACTS, b"result")
        assert await queue.submissions.result(await queue.submissions.view(job.id)) == b"result"
        kept = await names(raw_redis, queue_settings)
        assert not any(":payload:" in name or ":result:" in name for name in kept)


async def test_requested_models_are_returned_to_all(queue: RedisQueue) -> None:
    assert await queue.registry.requested_models() == frozenset()
    for name in ("a", "b", "a"):
        await queue.registry.request_model(name)
    assert await queue.registry.requested_models() == {"a", "b"}
