"""The queue accepts the jobs that the policy would accept from the same backlog."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from jobs.backlog import Backlog, Run
from jobs.connection import SteadyRedis
from jobs.durability import DurableCalls
from jobs.embedded_redis import Binary
from jobs.job import Job
from jobs.keys import Keys
from jobs.queue import NoTime
from jobs.redis_blobs import UNACCEPTED_S, RedisBlobs
from jobs.redis_queue import RedisQueue
from jobs.redis_submissions import ASK_FIRST_BYTES
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from jobs.terms import NO_TERMS, terms_in_scripts
from scheduling.load import Load
from scheduling.options import Option
from scheduling.policy import late_ms
from scheduling.rungs import FLOOR

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
ROUNDING_MS = 0.1
"""Times are stored with three decimals."""
LARGE = bytes(ASK_FIRST_BYTES + 1)


@pytest.fixture
async def apart(redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue) -> RedisQueue:
    """A queue configured as if its pictures had a Redis of their own."""
    return open_queue(redis_url, queue_settings.model_copy(update={"blob_url": redis_url}))


def policy_late_ms(job: Job, backlog: Backlog, workers: int) -> float:
    """How late a job would be by the policy, where long runs give way."""
    load = Load.at_arrival(backlog, workers, job.small)
    option = Option(FLOOR, job.cheapest_ms, job.cheapest_ms, 27.0)
    return late_ms((option,), job.budget_ms, load, job.overhead_ms)


async def fill(
    queue: RedisQueue, raw: Redis, keys: Keys, make_job: MakeJob, chance: random.Random
) -> list[Run]:
    """Let some jobs wait, and some run; return these."""
    for _ in range(chance.randrange(12)):
        cheapest_ms = chance.choice([20.0, 300.0, 2000.0])
        narrowest_ms = chance.choice([0.0, 100.0, 1000.0])
        costs = {"cheapest_ms": cheapest_ms, "narrowest_ms": narrowest_ms}
        await queue.submissions.submit(
            make_job(budget_ms=chance.uniform(0, 2e4), **costs), b"picture"
        )
    runs: list[Run] = []
    for _ in range(chance.randrange(4)):
        claim = await queue.leases.claim("w", 0)
        if claim is not None:
            # Neither near to what counts as long.
            takes_ms = chance.choice([-100.0, chance.uniform(1000, 9000)])
            await queue.leases.report_expected_end(claim, takes_ms)
            end_ms, job = await raw.zscore(keys.ends, claim.job.id), claim.job
            assert end_ms is not None
            runs.append(Run(end_ms, claim.deadline_ms - job.overhead_ms, job.narrowest_ms))
    return runs


@pytest.mark.parametrize("seed", range(40))
async def test_queue_accepts_what_the_policy_accepts(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob, seed: int
) -> None:
    chance = random.Random(seed)
    runs = await fill(queue, raw_redis, keys, make_job, chance)
    refused: list[NoTime] = []
    for budget_ms in (500.0, 2000.0, 5000.0, 1e4, 1e6):
        workers, cheapest_ms = chance.randint(1, 4), chance.choice([100.0, 1500.0])
        costs = {"budget_ms": budget_ms + cheapest_ms, "cheapest_ms": cheapest_ms}
        job = make_job(**costs, overhead_ms=7.0, output_width=chance.choice([80, 8000]))
        before = (await queue.submissions.stats()).backlog
        try:
            view = await queue.submissions.submit(job, b"picture", workers=workers)
        except NoTime as refusal:
            refused.append(refusal)
            found_ms, decided_on = refusal.late_ms, refusal.backlog
        else:
            found_ms, decided_on = 0.0, replace(before, now_ms=view.submitted_ms)
        for known, run in zip(decided_on.runs, sorted(runs), strict=True):
            assert known == pytest.approx(run, abs=ROUNDING_MS)
        expected_ms = policy_late_ms(job, decided_on, workers)
        assert found_ms == pytest.approx(expected_ms, abs=ROUNDING_MS)
    assert len(refused) < 5, "the last has time in any case"


async def test_long_run_that_can_wait_leaves_room_for_a_job_that_cannot(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    urgent = make_job(budget_ms=400.0, cheapest_ms=20.0, narrowest_ms=50.0)
    for budget_ms, takes_ms, in_time in ((5000.0, 3000.0, True), (3050.0, 3000.0, False)):
        long = make_job(budget_ms=budget_ms, cheapest_ms=20.0, narrowest_ms=2000.0)
        await queue.submissions.submit(long, b"picture")
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        await queue.leases.report_expected_end(claim, takes_ms)
        if in_time:
            assert (await queue.submissions.submit(urgent, b"picture", workers=1)).job == urgent
            await queue.submissions.cancel(urgent.id)
        else:
            with pytest.raises(NoTime):
                await queue.submissions.submit(
                    make_job(budget_ms=400.0, cheapest_ms=20.0), b"p", workers=1
                )
        await queue.submissions.cancel(long.id)


async def test_time_spent_before_the_submission_counts(
    queue: RedisQueue, make_job: MakeJob
) -> None:
    job = make_job(budget_ms=1000.0, cheapest_ms=800.0)
    with pytest.raises(NoTime) as refusal:
        await queue.submissions.submit(job, b"picture", spent_ms=300.0, workers=1)
    assert refusal.value.late_ms == pytest.approx(100.0, abs=0.01)
    assert (await queue.submissions.submit(job, b"picture", spent_ms=100.0, workers=1)).job == job


@pytest.mark.parametrize("picture", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("pictures", ["here", "apart"])
async def test_picture_of_a_refused_job_is_gone_at_once(
    queue: RedisQueue,
    apart: RedisQueue,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    make_job: MakeJob,
    pictures: str,
    picture: bytes,
) -> None:
    used = queue if pictures == "here" else apart
    keys, job = Keys(queue_settings.namespace), make_job(budget_ms=10.0, cheapest_ms=50.0)
    with pytest.raises(NoTime):
        await used.submissions.submit(job, picture, workers=1)
    assert not await raw_redis.exists(keys.payload(job.id), keys.record(job.id))


@pytest.mark.parametrize("picture", [b"small", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("pictures", ["here", "apart"])
async def test_picture_lives_as_long_as_its_job_waits(
    queue: RedisQueue,
    apart: RedisQueue,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    make_job: MakeJob,
    pictures: str,
    picture: bytes,
) -> None:
    used = queue if pictures == "here" else apart
    job = make_job()
    await used.submissions.submit(job, picture, workers=1)
    name = Keys(queue_settings.namespace).payload(job.id)
    left_s = await raw_redis.ttl(name)
    assert queue_settings.payload_ttl_seconds - 5 < left_s <= queue_settings.payload_ttl_seconds
    claim = await used.leases.claim("w", 0)
    assert claim is not None
    assert claim.payload == picture
    await used.submissions.cancel(job.id)
    assert not await raw_redis.exists(name)


async def test_picture_whose_sender_dies_before_its_job_is_accepted_is_soon_gone(
    keys: Keys, raw_redis: SteadyRedis, queue_settings: QueueSettings
) -> None:
    name = keys.payload("a")
    durable = DurableCalls(raw_redis, keys.durable)
    blobs = RedisBlobs(raw_redis, keys, queue_settings, durable, apart=False)
    await raw_redis.execute_command(*blobs.putting_payload("a", b"picture"))
    assert 0 < await raw_redis.ttl(name) <= UNACCEPTED_S


async def test_no_job_is_accepted_whose_picture_found_no_room(
    scripts: Scripts, raw_redis: Redis, make_job: MakeJob, keys: Keys
) -> None:
    """The picture is sent along with the job; the server refuses it, then has room again."""
    refused = ("EVAL", "return redis.error_reply('OOM none left')", 0)
    job = make_job()
    wishes = (job.id, "{}", 1000.0, 1.0, "degrade", 256, 1.0, "*", 0.0, 1, 60, "", "", 1, "", "")
    arguments = (*wishes, "stored", *terms_in_scripts(NO_TERMS, keys, 60), "", 1)
    with pytest.raises(OutOfMemoryError):
        await scripts.run_after([refused], "submit", *arguments)
    assert not await raw_redis.exists(keys.record(job.id))


async def test_no_job_succeeds_whose_result_found_no_room(
    queue: RedisQueue, scripts: Scripts, make_job: MakeJob
) -> None:
    await queue.submissions.submit(make_job(), b"picture")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    refused = ("EVAL", "return redis.error_reply('OOM none left')", 0)
    arguments = (claim.job.id, claim.token, "succeeded", "no-such-result")
    with pytest.raises(OutOfMemoryError):
        await scripts.run_after([refused], "finish", *arguments)
    assert not (await queue.submissions.view(claim.job.id)).ended
