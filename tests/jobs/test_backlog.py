"""The backlog of waiting and running jobs in claims and stats."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis

from jobs.backlog import Backlog
from jobs.embedded_redis import Binary
from jobs.errors import InternalError
from jobs.job import Claim, Job, JobView, LeaseState, Reason, RunFacts
from jobs.keys import Keys
from jobs.queue import NoTime
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from scheduling.load import DEMAND_MS, PRIOR_MS, Demand
from tests.support.redis_server import expire_lease

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
SLOT_MS = 50.0
GROUPS = 128


async def claimed(queue: RedisQueue) -> Claim:
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    return claim


async def backlog(queue: RedisQueue) -> Backlog:
    return (await queue.submissions.stats()).backlog


async def running(queue: RedisQueue) -> list[float]:
    """Times in ms until the expected ends of the runs."""
    now = await backlog(queue)
    return [end - now.now_ms for end in now.running]


def slot_of(view: JobView) -> float:
    """The beginning of the slot of a job's latest start."""
    return round(view.deadline_ms - view.job.cheapest_ms, 3) // SLOT_MS * SLOT_MS


async def test_empty_queue_has_no_backlog(queue: RedisQueue) -> None:
    empty = await backlog(queue)
    assert (empty.waiting, empty.running) == ((), ())


async def test_claim_lists_waiting_jobs_and_other_runs(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    jobs = [make_job(budget_ms=100_000.0 * n, cheapest_ms=10.0 * n) for n in (1, 2, 3, 4)]
    views = [await queue.submissions.submit(job, b"picture") for job in jobs]
    first, second = await claimed(queue), await claimed(queue)
    assert first.backlog.now_ms == first.claimed_ms
    assert [cost for _, cost, *_ in first.backlog.waiting] == [20.0, 30.0, 40.0]
    assert first.backlog.running == ()
    assert [cost for _, cost, *_ in second.backlog.waiting] == [30.0, 40.0]
    assert second.backlog.running == pytest.approx([second.claimed_ms + 10.0], abs=0.01)
    assert [slot for slot, *_ in first.backlog.waiting] == [slot_of(view) for view in views[1:]]


async def test_jobs_that_must_start_together_are_one_group(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    first = await queue.submissions.submit(make_job(budget_ms=1e6, cheapest_ms=0.125), b"picture")
    into_slot = (first.deadline_ms - 0.125) % SLOT_MS
    views = [first]
    for place in (5.0, 10.0, 15.0):  # of one slot, half a second later
        now_ms = (await backlog(queue)).now_ms
        until_ms = first.deadline_ms - into_slot + 10 * SLOT_MS + place - now_ms
        views.append(
            await queue.submissions.submit(
                make_job(budget_ms=until_ms, cheapest_ms=0.1), b"picture"
            )
        )
    expected: dict[float, float] = {}
    for view in views:
        slot = slot_of(view)
        expected[slot] = expected.get(slot, 0.0) + view.job.cheapest_ms
    waiting = (await backlog(queue)).waiting
    assert [slot for slot, *_ in waiting] == sorted(expected)
    assert {slot: cost for slot, cost, *_ in waiting} == pytest.approx(expected)
    assert len(waiting) < len(views)


async def test_jobs_after_128_groups_form_one_more(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    settings = queue_settings.model_copy(update={"queue_limit": 1000})
    queue = open_queue(redis_url, settings)
    number = GROUPS + 3
    starts = []
    for n in range(number):
        job = make_job(budget_ms=100_000.0 + 1000.0 * n, cheapest_ms=0.1)
        view = await queue.submissions.submit(job, b"picture")
        starts.append(slot_of(view))
    stats = await queue.submissions.stats()
    assert stats.backlog_ms == 13.1
    assert [slot for slot, *_ in stats.backlog.waiting] == starts[: GROUPS + 1]
    assert [cost for _, cost, *_ in stats.backlog.waiting] == [*[0.1] * GROUPS, 0.3]
    seen = [len((await claimed(queue)).backlog.waiting) for _ in range(number)]
    assert seen == [min(number - n, GROUPS + 1) for n in range(1, number + 1)]


async def test_reported_end_replaces_the_expected_one(queue: RedisQueue, make_job: MakeJob) -> None:
    await queue.submissions.submit(make_job(cheapest_ms=10.0), b"picture")
    claim = await claimed(queue)
    assert await running(queue) == pytest.approx([10.0], abs=0.01)
    await queue.leases.report_expected_end(claim, 50_000.0)
    (left,) = await running(queue)
    assert 30_000 < left < 50_000
    await queue.leases.report_expected_end(claim, 100_000.0)
    (left,) = await running(queue)
    assert 80_000 < left < 100_000
    await queue.leases.report_expected_end(claim, 0.0)
    (left,) = await running(queue)
    assert left < 0


async def complete(queue: RedisQueue, claim: Claim) -> None:
    assert await queue.leases.complete(claim, FACTS, b"result")


async def fail(queue: RedisQueue, claim: Claim) -> None:
    assert await queue.leases.fail(claim, InternalError())


async def cancel(queue: RedisQueue, claim: Claim) -> None:
    await queue.submissions.cancel(claim.job.id)
    await queue.leases.report_stopped(claim)


@pytest.mark.parametrize("end", [complete, fail, cancel])
async def test_finished_run_leaves_no_expected_end(
    queue: RedisQueue,
    raw_redis: Redis,
    keys: Keys,
    make_job: MakeJob,
    end: Callable[[RedisQueue, Claim], Awaitable[None]],
) -> None:
    for _ in range(2):
        await queue.submissions.submit(make_job(), b"picture")
    over, other = await claimed(queue), await claimed(queue)
    for claim in (over, other):
        await queue.leases.report_expected_end(claim, 50_000.0)
    await end(queue, over)
    await queue.leases.report_expected_end(over, 90_000.0)
    assert await raw_redis.zrange(keys.ends, 0, -1) == [other.job.id.encode()]
    await end(queue, other)
    await queue.leases.report_expected_end(other, 90_000.0)
    assert not await raw_redis.exists(keys.ends, keys.leases)


async def test_reports_do_not_bring_back_a_lost_lease(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(budget_ms=1e6), b"picture")
    first = await claimed(queue)
    await queue.leases.report_expected_end(first, 50_000.0)
    await raw_redis.zadd(keys.leases, {first.job.id: 0.0}, xx=True)
    urgent = make_job(budget_ms=1.0, cheapest_ms=0.0)
    await queue.submissions.submit(urgent, b"urgent")
    assert (await claimed(queue)).job == urgent
    await queue.leases.report_expected_end(first, 50_000.0)
    assert await raw_redis.zrange(keys.leases, 0, -1) == [urgent.id.encode()]
    assert await running(queue) == pytest.approx([0.0], abs=0.01)
    second = await claimed(queue)
    assert second.job == first.job
    await queue.leases.report_expected_end(first, 50_000.0)
    assert await running(queue) == pytest.approx([0.0, 10.0], abs=0.01)


async def test_requeued_job_keeps_its_cost_and_its_age(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    jobs = [make_job(budget_ms=ms, cheapest_ms=7.0) for ms in (1e6, 2e6)]
    for job in jobs:
        await queue.submissions.submit(job, b"picture")
    before = (await backlog(queue)).waiting
    ages = await raw_redis.zrange(keys.ages, 0, -1, withscores=True)
    claims = [await claimed(queue), await claimed(queue)]
    assert (await queue.submissions.stats()).oldest_age_ms == 0
    for claim in claims:
        await raw_redis.zadd(keys.leases, {claim.job.id: 0.0}, xx=True)
    again = await claimed(queue)
    assert (again.backlog.waiting, again.backlog.running) == (before[1:], ())
    assert await raw_redis.zrange(keys.ages, 0, -1, withscores=True) == ages[1:]


async def test_job_submitted_again_after_its_record_was_lost_counts_once(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    job, other = make_job(budget_ms=1e6, cheapest_ms=7.0), make_job(budget_ms=2e6, cheapest_ms=5.0)
    await queue.submissions.submit(job, b"picture")
    await queue.submissions.submit(other, b"picture")
    await raw_redis.delete(keys.record(job.id))
    await queue.submissions.submit(job, b"picture")
    assert [cost for _, cost, *_ in (await backlog(queue)).waiting] == [7.0, 5.0]
    assert (await queue.submissions.stats()).backlog_ms == 12.0


@pytest.mark.parametrize(("cheapest_ms", "counted_ms"), [(-5.0, 0.0), (-0.0, 0.0), (1e300, 1e9)])
async def test_absurd_cost_corrupts_no_sum(
    queue: RedisQueue, make_job: MakeJob, cheapest_ms: float, counted_ms: float
) -> None:
    await queue.submissions.submit(make_job(cheapest_ms=7.0), b"picture")
    await queue.submissions.submit(make_job(cheapest_ms=cheapest_ms), b"picture")
    assert (await queue.submissions.stats()).backlog_ms == 7.0 + counted_ms
    await claimed(queue)
    last = await claimed(queue)
    assert last.backlog.waiting == ()
    assert (await queue.submissions.stats()).backlog_ms == 0


async def test_no_end_is_stored_without_a_lease(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    await raw_redis.delete(keys.leases, keys.ends)
    await queue.leases.report_expected_end(claim, 5.0)
    assert not await raw_redis.exists(keys.leases, keys.ends)


async def test_stray_entries_are_deleted_when_the_queue_is_empty(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    for name in (keys.ends, keys.ages, keys.slots):
        await raw_redis.zadd(name, {"1000": 1000.0})
    await raw_redis.hset(
        keys.sums, mapping={"cheapest": 10**9, "cheapest:1000": 10**9, "jobs:1000": 1}
    )
    claim = await claimed(queue)
    assert claim.backlog.waiting == ()
    assert await queue.leases.complete(claim, FACTS, b"result")
    stats = await queue.submissions.stats()
    assert (stats.queued, stats.running, stats.oldest_age_ms, stats.backlog_ms) == (0, 0, 0, 0)
    assert (stats.backlog.waiting, stats.backlog.running) == ((), ())


@pytest.mark.parametrize("lost", ["entries", "slots", "sums", "ages", "ends"])
async def test_lost_sums_stop_no_job_and_heal_once_the_queue_is_empty(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob, lost: str
) -> None:
    jobs = [make_job(budget_ms=1e5 * n) for n in range(1, 5)]
    for job in jobs:
        await queue.submissions.submit(job, b"picture")
    claims = [await claimed(queue)]
    await raw_redis.delete(getattr(keys, lost))
    await queue.submissions.stats()
    await queue.submissions.cancel(jobs[1].id)
    claims += [await claimed(queue), await claimed(queue)]
    for claim in claims:
        await queue.leases.report_expected_end(claim, 5.0)
        assert await queue.leases.complete(claim, FACTS, b"result")
    assert not await raw_redis.exists(keys.entries, keys.slots, keys.sums, keys.ages, keys.ends)
    await queue.submissions.submit(make_job(cheapest_ms=7.0), b"picture")
    assert (await queue.submissions.stats()).backlog_ms == 7.0


async def test_demand_counts_arrivals_while_others_waited_as_the_simulator_does(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    demand = Demand()
    assert (await backlog(queue)).demand == 0.0
    for others in range(4):
        await queue.submissions.submit(make_job(narrowest_ms=400.0, budget_ms=5400.0), b"picture")
        demand.pass_time(float(await raw_redis.hget(keys.demand, "at") or 0), others > 0)
        if others > 0:
            demand.add(400.0, 5000.0)
    measured = await backlog(queue)
    assert measured.demand == pytest.approx(demand.rate, rel=0.1)
    assert measured.demand == pytest.approx(3 * 400 / PRIOR_MS, rel=0.1)
    assert measured.demand_slack_ms == pytest.approx(5000.0, rel=0.01)


async def test_caller_who_waits_for_each_answer_causes_no_demand(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    for _ in range(5):
        await queue.submissions.submit(make_job(narrowest_ms=400.0), b"picture")
        claim = await claimed(queue)
        assert (claim.backlog.demand, claim.backlog.demand_slack_ms) == (0.0, math.inf)
        assert await queue.leases.complete(claim, FACTS, b"result")
    assert (await backlog(queue)).demand == 0.0


async def test_cancelled_job_leaves_the_demand(queue: RedisQueue, make_job: MakeJob) -> None:
    small, giant = make_job(narrowest_ms=400.0), make_job(narrowest_ms=4e5, budget_ms=1e6)
    for job in (make_job(), small, giant):
        await queue.submissions.submit(job, b"picture")
    assert (await backlog(queue)).demand > 700
    await queue.submissions.cancel(giant.id)
    assert (await backlog(queue)).demand == pytest.approx(400 / PRIOR_MS, rel=0.1)
    await queue.submissions.cancel(small.id)
    assert (await backlog(queue)).demand < 0.01


async def test_demand_fades(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    for _ in range(3):
        await queue.submissions.submit(make_job(narrowest_ms=400.0), b"picture")
    for _ in range(3):
        await claimed(queue)
    demand = (await backlog(queue)).demand
    # After DEMAND_MS without waiting jobs, 1/e of the work is left.
    at = await raw_redis.hget(keys.demand, "at")
    assert at is not None
    await raw_redis.hset(keys.demand, "at", str(float(at) - DEMAND_MS))
    assert (await backlog(queue)).demand == pytest.approx(demand / math.e, rel=0.1)


async def refused(queue: RedisQueue, job: Job) -> bool:
    """Whether the only worker has no time for a job."""
    try:
        await queue.submissions.submit(job, b"picture", workers=1)
    except NoTime:
        return True
    return False


async def test_worker_of_a_withdrawn_run_is_busy_until_it_leaves(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(budget_ms=1e6), b"picture")
    claim = await claimed(queue)
    await queue.leases.report_expected_end(claim, 50_000.0)
    await queue.submissions.cancel(claim.job.id)
    soon = make_job(budget_ms=200.0, cheapest_ms=10.0)
    [left] = await running(queue)
    assert 0 < left <= 1000.0  # it learns that at its next renewal
    assert await queue.leases.renew(claim, 0.5) is LeaseState.CANCELLED
    assert (await queue.submissions.stats()).running == 1
    [left] = await running(queue)
    assert left > 1000.0
    assert await refused(queue, soon)
    await queue.leases.report_stopped(claim)
    assert await running(queue) == []
    assert not await refused(queue, soon)


async def test_withdrawn_run_that_is_overdue_is_not_expected_to_end_at_once(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    await queue.leases.report_expected_end(claim, -5000.0)
    await queue.submissions.cancel(claim.job.id)
    [left] = await running(queue)
    assert 0 < left <= 1000.0


async def test_worker_of_a_lost_run_is_busy_beside_the_one_that_runs_it_again(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(budget_ms=1e6), b"picture")
    first = await claimed(queue)
    await expire_lease(raw_redis, keys, first)
    second = await claimed(queue)
    assert await queue.leases.renew(first, 0.5) is LeaseState.LOST
    assert len(await running(queue)) == 2
    await queue.leases.report_stopped(second)  # its lease is held
    assert len(await running(queue)) == 2
    await queue.leases.report_stopped(first)
    assert len(await running(queue)) == 1
    assert await queue.leases.renew(second, 0.5) is LeaseState.HELD


async def test_stopping_run_of_a_worker_that_dies_is_cleared(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(budget_ms=1e6), b"picture")
    claim = await claimed(queue)
    await queue.submissions.cancel(claim.job.id)
    place = f"{claim.job.id}:{claim.token}"
    assert await raw_redis.zadd(keys.leases, {place: 0.0}, xx=True, ch=True) == 1
    assert await queue.leases.claim("other", 0) is None
    assert not await raw_redis.exists(keys.leases, keys.ends)
    assert (await queue.registry.health()).redeliveries == 0


async def test_renewal_after_the_delivery_makes_nobody_busy(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    """As when a renewal is on its way while the result is delivered."""
    await queue.submissions.submit(make_job(), b"picture")
    claim = await claimed(queue)
    await complete(queue, claim)
    assert await queue.leases.renew(claim, 1.0) is LeaseState.LOST
    assert (await queue.submissions.stats()).running == 0
