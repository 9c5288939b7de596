"""Leases: the order of claims, expiry, and fencing tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary
from jobs.errors import DataLoss, DeadlineExceeded, InternalError, WorkerLost
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Claim, Job, JobStatus, LeaseState, OnMiss, Reason, RunFacts
from jobs.keys import Keys
from jobs.queue import Gap
from jobs.redis_queue import RedisQueue
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from tests.support.redis_server import calls, expire_lease
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)


async def claimed(queue: RedisQueue, worker: str = "w") -> Claim:
    claim = await queue.leases.claim(worker, 0)
    assert claim is not None
    return claim


async def test_job_with_the_earliest_latest_start_is_claimed_first(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    tight = make_job(budget_ms=200_000.0, cheapest_ms=100.0)
    costly = make_job(budget_ms=500_000.0, cheapest_ms=450_000.0)
    relaxed = make_job(budget_ms=900_000.0, cheapest_ms=100.0)
    for job in (relaxed, tight, costly):
        await queue.submissions.submit(job, b"picture")
    assert [(await claimed(queue)).job for _ in range(3)] == [costly, tight, relaxed]


async def test_expired_lease_goes_to_another_worker_and_fences_the_first(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    first = await claimed(queue, "first")
    await expire_lease(raw_redis, keys, first)
    second = await claimed(queue, "second")
    assert (second.job, second.payload, second.attempt) == (first.job, b"picture", 2)
    assert second.token > first.token
    assert await queue.leases.renew(first, 0.9) is LeaseState.LOST
    assert not await queue.leases.complete(first, FACTS, b"late")
    assert not await queue.leases.fail(first, InternalError())
    assert await queue.leases.complete(second, FACTS, b"right")
    assert not await queue.leases.complete(first, FACTS, b"late")
    assert await queue.submissions.result(await queue.submissions.view(first.job.id)) == b"right"
    assert not await raw_redis.exists(keys.result(first.job.id, first.token))


async def test_lease_expires_by_the_servers_clock(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    settings = queue_settings.model_copy(update={"lease_seconds": 0.05})
    queue = open_queue(redis_url, settings)
    await queue.submissions.submit(make_job(), b"picture")
    first = await claimed(queue)

    async def again() -> bool:
        second = await queue.leases.claim("idle", 0)
        return second is not None and (second.job.id, second.attempt) == (first.job.id, 2)

    await eventually(again, "the job for another worker")


async def test_renewed_lease_is_kept(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    await expire_lease(raw_redis, keys, claim)
    assert await queue.leases.renew(claim, 0.25) is LeaseState.HELD
    assert await queue.leases.claim("other", 0) is None
    assert (await queue.submissions.view(claim.job.id)).progress == 0.25
    assert await queue.leases.renew(claim, 7.0) is LeaseState.HELD
    assert (await queue.submissions.view(claim.job.id)).progress == 1.0


async def test_requeued_job_starts_over(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    first = await claimed(queue)
    await queue.leases.renew(first, 0.5)
    await expire_lease(raw_redis, keys, first)
    await queue.submissions.submit(make_job(budget_ms=1.0, cheapest_ms=0.0), b"urgent")
    assert (await claimed(queue)).payload == b"urgent"
    view = await queue.submissions.view(first.job.id)
    assert (view.status, view.progress, view.attempt) == (JobStatus.QUEUED, 0.0, 1)
    assert not await queue.leases.complete(first, FACTS, b"late")


async def test_job_is_given_up_after_its_last_attempt(
    queue: RedisQueue,
    raw_redis: Redis,
    keys: Keys,
    queue_settings: QueueSettings,
    make_job: MakeJob,
) -> None:
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    for attempt in range(1, queue_settings.max_attempts + 1):
        claim = await claimed(queue)
        assert claim.attempt == attempt
        await expire_lease(raw_redis, keys, claim)
    assert await queue.leases.claim("w", 0) is None
    view = await queue.submissions.view(job.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, "worker_lost")
    with pytest.raises(WorkerLost):
        await queue.submissions.result(await queue.submissions.view(job.id))
    assert not await raw_redis.exists(keys.payload(job.id))
    assert 0 < await raw_redis.ttl(keys.record(job.id)) <= queue_settings.job_ttl_seconds


async def test_late_job_with_reject_ends_without_a_run(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    reject = make_job(on_miss=OnMiss.REJECT, budget_ms=100.0)
    degrade = make_job(on_miss=OnMiss.DEGRADE, budget_ms=100.0)
    for job in (reject, degrade):
        await queue.submissions.submit(job, b"picture", spent_ms=200.0)
    late = await claimed(queue)
    assert late.job == degrade
    assert late.slack_ms < 0
    with pytest.raises(DeadlineExceeded):
        await queue.submissions.result(await queue.submissions.view(reject.id))
    assert not await raw_redis.exists(keys.payload(reject.id))


async def test_job_whose_picture_is_gone_ends(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    gone, damaged, whole = make_job(), make_job(), make_job()
    for job in (gone, damaged, whole):
        await queue.submissions.submit(job, b"picture")
    await raw_redis.delete(keys.payload(gone.id), keys.payload(damaged.id))
    await raw_redis.rpush(keys.payload(damaged.id), "not a string")
    assert (await claimed(queue)).job == whole
    for job in (gone, damaged):
        with pytest.raises(DataLoss, match="picture"):
            await queue.submissions.result(await queue.submissions.view(job.id))


async def test_repeated_delivery_is_accepted(queue: RedisQueue, make_job: MakeJob) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    assert await queue.leases.complete(claim, FACTS, b"result")
    assert await queue.leases.complete(claim, FACTS, b"result")
    assert not await queue.leases.fail(claim, InternalError())
    assert await queue.submissions.result(await queue.submissions.view(claim.job.id)) == b"result"


async def test_no_two_workers_ever_hold_a_job(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    jobs = [make_job() for _ in range(60)]
    held: set[str] = set()
    done: list[str] = []

    async def work(queue: RedisQueue, name: str) -> None:
        while len(done) < len(jobs):
            claim = await queue.leases.claim(name, 0.1)
            if claim is None:
                continue
            assert claim.job.id not in held
            held.add(claim.job.id)
            view = await queue.submissions.view(claim.job.id)  # the others may claim meanwhile
            assert (view.status, view.attempt) == (JobStatus.RUNNING, 1)
            held.discard(claim.job.id)
            assert await queue.leases.complete(claim, FACTS, claim.payload)
            done.append(claim.job.id)

    queues = [open_queue(redis_url, queue_settings) for _ in range(2)]
    names = [f"worker-{number}" for number in range(12)]
    workers = [
        asyncio.create_task(work(queue, name))
        for queue, name in zip(queues * 6, names, strict=True)
    ]
    await asyncio.gather(*(queues[0].submissions.submit(job, job.id.encode()) for job in jobs))
    await asyncio.gather(*workers)
    assert sorted(done) == sorted(job.id for job in jobs)
    submissions = queues[1].submissions
    results = [await submissions.result(await submissions.view(job.id)) for job in jobs]
    assert results == [job.id.encode() for job in jobs]


async def test_urgent_claim_takes_only_what_must_start_soon(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    job = make_job(budget_ms=60_000.0, cheapest_ms=10_000.0)  # must start within 50 s
    await queue.submissions.submit(job, b"picture")
    assert await queue.leases.claim_urgent("w", Gap(40_000, 1e9)) is None
    assert (await queue.submissions.view(job.id)).status is JobStatus.QUEUED
    claim = await queue.leases.claim_urgent("w", Gap(51_000, 1e9))
    assert claim is not None
    assert (claim.job, claim.payload) == (job, b"picture")


async def test_urgent_claim_takes_no_job_that_costs_more_than_the_spare_time(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(budget_ms=500.0, cheapest_ms=200.0), b"picture")
    assert await queue.leases.claim_urgent("w", Gap(1e9, 199.0)) is None
    assert await queue.leases.claim_urgent("w", Gap(1e9, 201.0)) is not None
    assert await queue.leases.claim_urgent("w", Gap(1e9, 1e9)) is None


async def test_urgent_claim_takes_a_short_job_that_could_wait(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    """By the cost of its narrowest network: it is not resampled for having gone first."""
    await queue.submissions.submit(make_job(cheapest_ms=20.0, narrowest_ms=200.0), b"picture")
    assert await queue.leases.claim_urgent("w", Gap(1_000, 1_000, short_ms=199)) is None
    assert await queue.leases.claim_urgent("w", Gap(1_000, 19, short_ms=201)) is None
    assert await queue.leases.claim_urgent("w", Gap(1_000, 1_000, short_ms=201)) is not None


async def test_urgent_claim_of_a_worker_with_little_memory_takes_small_jobs_alone(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    large = make_job(budget_ms=500.0, output_width=900, output_height=700)
    small = make_job(budget_ms=600.0, output_width=600, output_height=500)
    assert (large.small, small.small) == (False, True)
    for job in (large, small):
        await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim_urgent("w", Gap(1e9, 1e9, small_only=True))
    assert claim is not None
    assert claim.job == small
    assert await queue.leases.claim_urgent("w", Gap(1e9, 1e9, small_only=True)) is None
    assert await queue.leases.claim_urgent("w", Gap(1e9, 1e9)) is not None


@pytest.mark.parametrize(
    ("budget_ms", "taken"),
    [
        (8_000.0, True),  # 1 s is left to the job in front after the run of 2 s
        (7_100.0, False),  # only 0.1 s
        (6_000.0, True),  # it is late in any case
    ],
)
async def test_urgent_claim_makes_no_job_late_that_it_passes_over(
    queue: RedisQueue, make_job: MakeJob, budget_ms: float, taken: bool
) -> None:
    in_front = make_job(budget_ms=budget_ms, cheapest_ms=5_000.0)
    short = make_job(budget_ms=60_000.0, cheapest_ms=500.0)
    for job in (in_front, short):
        await queue.submissions.submit(job, b"picture")
    claim = await queue.leases.claim_urgent("w", Gap(2_000.0, 4_000.0, short_ms=600.0))
    assert (claim is not None) == taken
    assert claim is None or claim.job == short


async def test_urgent_claim_without_a_job_leaves_the_wake_up_to_idle_workers(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    assert await queue.leases.claim_urgent("busy", Gap(0.0, 0.0)) is None
    assert await queue.leases.claim("idle", 5.0) is not None


async def test_a_busy_worker_that_looks_for_urgent_jobs_runs_no_script_in_vain(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    async def looks(gap: Gap) -> int:
        before = await calls(raw_redis, "evalsha")
        for _ in range(20):
            assert await queue.leases.claim_urgent("w", gap) is None
        return await calls(raw_redis, "evalsha") - before

    gap = Gap(1_000.0, 1_000.0)
    assert await looks(gap) == 0
    await queue.submissions.submit(make_job(budget_ms=60_000.0), b"picture")
    assert await looks(gap) == 0
    assert await queue.leases.claim_urgent("w", Gap(1e9, 1e9)) is not None


async def test_a_busy_worker_still_gives_a_dead_workers_job_to_others(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(budget_ms=500_000.0), b"picture")
    lost = await claimed(queue, "dead")
    await expire_lease(raw_redis, keys, lost)
    await queue.registry.publish_heartbeat(WorkerHeartbeat("busy", True, (), {}))

    async def waits_again() -> bool:
        assert await queue.leases.claim_urgent("busy", Gap(1.0, 1.0)) is None
        return (await queue.submissions.view(lost.job.id)).status is JobStatus.QUEUED

    await eventually(waits_again, "the job waits again")


async def test_delivery_and_the_next_claim_are_one_call(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    jobs = [make_job(budget_ms=ms) for ms in (200_000.0, 500_000.0)]
    for job in jobs:
        await queue.submissions.submit(job, job.id.encode())
    claim = await claimed(queue)
    delivered, following = await queue.leases.complete_and_claim(claim, FACTS, b"result", "w")
    assert delivered
    assert following is not None
    assert (following.job, following.payload, following.attempt) == (
        jobs[1],
        jobs[1].id.encode(),
        1,
    )
    assert following.backlog.runs == (), "the worker's own run has ended"
    assert await queue.submissions.result(await queue.submissions.view(jobs[0].id)) == b"result"
    assert await queue.leases.complete_and_claim(following, FACTS, b"result", "w") == (True, None)


async def test_next_claim_keeps_to_the_capabilities(queue: RedisQueue, make_job: MakeJob) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    await queue.submissions.submit(make_job(model="other"), b"picture")
    completion = await queue.leases.complete_and_claim(claim, FACTS, b"result", "w", ["anysr-s"])
    assert completion == (True, None)


async def test_lost_lease_delivers_nothing_and_the_worker_goes_on(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    first = await claimed(queue, "first")
    await expire_lease(raw_redis, keys, first)
    second = await claimed(queue, "second")
    await queue.leases.complete(second, FACTS, b"right")
    await queue.submissions.submit(make_job(), b"picture")
    delivered, following = await queue.leases.complete_and_claim(first, FACTS, b"late", "first")
    assert not delivered
    assert following is not None
    assert following.job.id != first.job.id
    assert not await raw_redis.exists(keys.result(first.job.id, first.token))


async def test_nothing_is_claimed_while_the_present_run_is_not_ended(
    queue: RedisQueue, scripts: Scripts, make_job: MakeJob
) -> None:
    """The result was sent along, and the server had no memory for it."""
    for _ in range(2):
        await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    finish = (claim.job.id, claim.token, "succeeded", "no-such-result")
    following = (10_000.0, 3, "w", 1e9, 1e9, 1e9, 0.0, "", claim.job.id, "", 0)
    answers = await scripts.run_both((), ("finish", finish), ("claim", following))
    assert answers == ([-1, 1], [[], None, None])
    assert (await claimed(queue)).attempt == 1
