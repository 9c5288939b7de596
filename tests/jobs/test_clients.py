"""Limits of clients in the queue: a bucket of tokens, pixels of a day, jobs that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from jobs.client_limits import DAY_S, ClientLimits
from jobs.connection import SteadyRedis, connect
from jobs.embedded_redis import embedded_redis
from jobs.errors import JobNotFound, Overloaded, QuotaExceeded, RateLimited, TooManyJobs
from jobs.job import Job, Reason, RunFacts
from jobs.keys import Keys
from jobs.queue import JobQueue
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

SLOW = ClientLimits(client="shop", requests_per_second=1e-4, burst=3)
"""A bucket that does not fill again within a test."""
PIXELS = ClientLimits(client="shop", pixels_per_day=10_000)
FACTS = RunFacts(
    model="anysr-s",
    width=1.0,
    reason=Reason.WIDEST,
    predicted_ms=1.0,
    run_ms=1.0,
    stages_ms={},
    expected_db=None,
)
JOBS = ClientLimits(client="shop", jobs_waiting=2)


async def server_s(redis: SteadyRedis) -> float:
    seconds, micros = await redis.time()
    return float(seconds) + float(micros) / 1e6


async def codes(queue: JobQueue, limits: ClientLimits, count: int) -> list[str]:
    """The refusals of so many requests in turn; empty where one was allowed."""
    allowances = [await queue.clients.allow(limits, submits=False) for _ in range(count)]
    return [found.refusal.code if found.refusal else "" for found in allowances]


async def test_a_burst_is_allowed_and_then_the_rate(queue: RedisQueue) -> None:
    assert await codes(queue, SLOW, 4) == ["", "", "", RateLimited.code]
    refused = await queue.clients.allow(SLOW, submits=False)
    assert refused.requests == 0
    assert refused.refusal is not None
    # A token takes 10,000 s, three of them 30,000 s; what has passed of the first is less.
    assert 9_900 < refused.refusal.details["retry_after_s"] <= 10_000
    assert 29_900 < refused.full_s <= 30_000


async def test_tokens_come_back_by_the_clock_of_redis(
    queue: RedisQueue, raw_redis: SteadyRedis, keys: Keys
) -> None:
    await codes(queue, SLOW, 3)
    at_ms = (await server_s(raw_redis)) * 1e3
    await raw_redis.hset(keys.client_counters("shop"), "at", f"{at_ms - 2e7 - 1:.3f}")
    assert await codes(queue, SLOW, 3) == ["", "", RateLimited.code]


async def test_a_clock_that_was_set_back_neither_fills_nor_blocks_a_bucket(
    queue: RedisQueue, raw_redis: SteadyRedis, keys: Keys
) -> None:
    await codes(queue, SLOW, 1)
    in_the_future = (await server_s(raw_redis) + 1e6) * 1e3
    await raw_redis.hset(keys.client_counters("shop"), "at", f"{in_the_future:.3f}")
    assert await codes(queue, SLOW, 3) == ["", "", RateLimited.code]


async def test_clients_have_buckets_of_their_own(queue: RedisQueue) -> None:
    await codes(queue, SLOW, 3)
    assert await codes(queue, replace(SLOW, client="other"), 1) == [""]


async def test_two_gateways_share_a_bucket(
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
) -> None:
    queues = [open_queue(redis_url, queue_settings) for _ in range(2)]
    calls = [queues[n % 2].clients.allow(SLOW, submits=False) for n in range(10)]
    allowances = await asyncio.gather(*calls)
    assert sum(allowance.refusal is None for allowance in allowances) == SLOW.burst


async def test_accepted_jobs_use_up_the_pixels_of_a_day(
    queue: RedisQueue, make_job: Callable[..., Job], raw_redis: SteadyRedis
) -> None:
    job = make_job(output_width=100, output_height=40)
    await queue.submissions.submit(job, b"picture", limits=PIXELS)
    await queue.submissions.submit(job, b"picture", limits=PIXELS)  # known: counted once
    left = await queue.clients.allow(PIXELS, submits=True)
    assert (left.pixels, left.refusal) == (6_000, None)
    until_midnight = DAY_S - (await server_s(raw_redis)) % DAY_S
    assert left.day_s % DAY_S == pytest.approx(until_midnight % DAY_S, abs=20)

    large = make_job(output_width=100, output_height=61)
    with pytest.raises(QuotaExceeded) as raised:
        await queue.submissions.submit(large, b"picture", limits=PIXELS)
    assert "6000 left; this picture has 6100" in raised.value.detail
    assert 0 < raised.value.details["retry_after_s"] <= DAY_S
    with pytest.raises(JobNotFound):
        await queue.submissions.view(large.id)

    rest = make_job(output_width=100, output_height=60)
    await queue.submissions.submit(rest, b"picture", limits=PIXELS)
    used_up = await queue.clients.allow(PIXELS, submits=True)
    assert isinstance(used_up.refusal, QuotaExceeded)
    assert (await queue.clients.allow(PIXELS, submits=False)).refusal is None


async def test_a_refused_job_leaves_no_picture(
    queue: RedisQueue, make_job: Callable[..., Job], raw_redis: SteadyRedis, keys: Keys
) -> None:
    nothing = replace(PIXELS, pixels_per_day=0)
    for size in (10, 1 << 20):  # a large picture is asked for first
        job = make_job()
        with pytest.raises(QuotaExceeded):
            await queue.submissions.submit(job, bytes(size), limits=nothing)
        assert not await raw_redis.exists(keys.payload(job.id), keys.record(job.id))
    assert (await queue.submissions.stats()).queued == 0


async def test_the_pixels_of_yesterday_do_not_count(
    queue: RedisQueue, make_job: Callable[..., Job], raw_redis: SteadyRedis, keys: Keys
) -> None:
    job = make_job(output_width=100, output_height=100)
    await queue.submissions.submit(job, b"picture", limits=PIXELS)
    counters = keys.client_counters("shop")
    assert (await queue.clients.allow(PIXELS, submits=True)).refusal is not None
    await raw_redis.hincrby(counters, "day", -1)
    assert (await queue.clients.allow(PIXELS, submits=True)).pixels == 10_000
    assert 0 < await raw_redis.ttl(counters) <= 2 * DAY_S


async def test_jobs_count_while_they_wait(queue: RedisQueue, make_job: Callable[..., Job]) -> None:
    first, second, third, fourth = (make_job() for _ in range(4))
    for job in (first, second):
        await queue.submissions.submit(job, b"picture", limits=JOBS)
    with pytest.raises(TooManyJobs):
        await queue.submissions.submit(third, b"picture", limits=JOBS)
    assert isinstance((await queue.clients.allow(JOBS, submits=True)).refusal, TooManyJobs)
    assert (await queue.clients.allow(JOBS, submits=False)).refusal is None

    claim = await queue.leases.claim("worker", wait_s=0)  # one runs: one waits
    assert claim is not None
    await queue.submissions.submit(third, b"picture", limits=JOBS)
    with pytest.raises(TooManyJobs):
        await queue.submissions.submit(fourth, b"picture", limits=JOBS)

    await queue.submissions.cancel(third.id)
    await queue.submissions.submit(fourth, b"picture", limits=JOBS)
    assert await queue.leases.complete(claim, FACTS, b"result")
    with pytest.raises(TooManyJobs):
        await queue.submissions.submit(make_job(), b"picture", limits=JOBS)


async def test_the_job_of_a_lost_worker_waits_for_its_client_again(
    queue: RedisQueue, make_job: Callable[..., Job], raw_redis: SteadyRedis, keys: Keys
) -> None:
    one = replace(JOBS, jobs_waiting=1)
    job, urgent = make_job(), make_job(budget_ms=1_000.0)
    await queue.submissions.submit(job, b"picture", limits=one)
    assert await queue.leases.claim("lost", wait_s=0) is not None
    assert (await queue.clients.allow(one, submits=True)).refusal is None
    await raw_redis.zadd(keys.leases, {job.id: 1})  # the end of its lease, long ago
    await queue.submissions.submit(urgent, b"picture")
    claim = await queue.leases.claim("other", wait_s=0)
    assert claim is not None
    assert claim.job.id == urgent.id
    assert isinstance((await queue.clients.allow(one, submits=True)).refusal, TooManyJobs)


async def test_a_full_redis_refuses_jobs_alone(
    queue_settings: QueueSettings, open_queue: Callable[[str, QueueSettings], RedisQueue]
) -> None:
    with embedded_redis() as url:
        queue = open_queue(url, queue_settings)
        assert (await queue.clients.allow(SLOW, submits=True)).refusal is None
        redis = connect(url)
        await redis.config_set("maxmemory", 1)
        await redis.aclose()
        with pytest.raises(Overloaded):
            await queue.clients.allow(SLOW, submits=True)
        assert await codes(queue, SLOW, 5) == 5 * [""]
        await queue.close()


@pytest.mark.parametrize("limits", [replace(JOBS, jobs_waiting=4), PIXELS])
async def test_jobs_at_once_exceed_no_limit(
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
    make_job: Callable[..., Job],
    limits: ClientLimits,
) -> None:
    queues = [open_queue(redis_url, queue_settings) for _ in range(2)]
    jobs = [make_job(output_width=50, output_height=50) for _ in range(12)]
    submitting = [
        queues[n % 2].submissions.submit(job, b"picture", limits=limits)
        for n, job in enumerate(jobs)
    ]
    results = await asyncio.gather(*submitting, return_exceptions=True)
    refused = [result for result in results if isinstance(result, TooManyJobs | QuotaExceeded)]
    assert len(refused) == 8
    assert (await queues[0].submissions.stats()).queued == 4
