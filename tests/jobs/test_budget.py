"""The arithmetic of a budget: the same in Python and in the queue's scripts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from jobs.backlog import Backlog
from jobs.budget import elapsed_ms, is_late, smallest_budget_ms, start_slack_ms
from jobs.embedded_redis import Binary
from jobs.errors import DeadlineExceeded
from jobs.job import Claim, Job, JobStatus, OnMiss
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from tests.support.jobs import admitted_job

MakeJob = Callable[..., Job]
JOB = admitted_job(budget_ms=1.0)
times = st.integers(0, 10**6).map(float)
on_redis = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)


@given(times, times, times, times)
def test_run_is_in_time_exactly_when_its_start_slack_suffices(
    budget: float, cost: float, overhead: float, waited: float
) -> None:
    slack = start_slack_ms(budget, cost, overhead)
    assert is_late(waited + cost + overhead, budget) == (waited > slack)
    assert (slack >= 0) == (budget >= smallest_budget_ms(cost, overhead))


@given(times, times, times)
def test_elapsed_time_is_the_budget_at_the_deadline(
    submitted: float, budget: float, passed: float
) -> None:
    deadline = submitted + budget
    assert elapsed_ms(deadline, deadline, budget) == budget
    assert elapsed_ms(submitted + passed, deadline, budget) == passed


@given(times, times, times)
def test_claimed_run_that_uses_its_slack_ends_exactly_in_time(
    queued: float, overhead: float, budget: float
) -> None:
    job = replace(JOB, budget_ms=budget, overhead_ms=overhead)
    claim = Claim(job, b"", 1, 1, 1000.0, 1000.0 + budget, Backlog(1000.0 + queued))
    assert claim.elapsed_ms(claim.run_slack_ms) + overhead == budget
    assert not job.is_late(claim.elapsed_ms(claim.slack_ms))
    assert job.is_late(claim.elapsed_ms(claim.slack_ms + 1))


@pytest.mark.parametrize(
    ("on_miss", "elapsed", "rejected"),
    [
        (OnMiss.REJECT, 100.0, False),
        (OnMiss.REJECT, 100.1, True),
        (OnMiss.DEGRADE, 100.1, False),
    ],
)
def test_only_a_late_picture_is_rejected_and_only_where_the_caller_wants_that(
    make_job: MakeJob, on_miss: OnMiss, elapsed: float, rejected: bool
) -> None:
    assert make_job(budget_ms=100.0, on_miss=on_miss).is_rejected(elapsed) is rejected


@on_redis
async def test_queue_orders_jobs_by_the_same_latest_start(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    job = make_job(budget_ms=5000.0, cheapest_ms=300.0, overhead_ms=20.0)
    view = await queue.submissions.submit(job, b"picture", spent_ms=80.0)
    slack_ms = start_slack_ms(5000.0 - 80.0, 300.0, 20.0)
    start_ms = await raw_redis.zscore(keys.pending, job.id)
    assert start_ms == pytest.approx(view.submitted_ms + slack_ms, abs=0.002)


@on_redis
async def test_queue_rejects_a_job_at_the_claim_only_after_its_deadline(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    """Its overhead alone is no reason: the run may end in time all the same."""
    tight = make_job(on_miss=OnMiss.REJECT, budget_ms=60_000.0, overhead_ms=70_000.0)
    late = make_job(on_miss=OnMiss.REJECT, budget_ms=1.0)
    for job in (tight, late):
        await queue.submissions.submit(job, b"picture", spent_ms=5.0)
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert claim.job == tight
    assert await queue.leases.claim("w", 0) is None
    view = await queue.submissions.view(late.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, DeadlineExceeded.code)
