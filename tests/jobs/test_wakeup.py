"""Idle workers are woken at once, each by its own job, and a lost token loses no job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis.exceptions
from redis.asyncio import Redis

from jobs.connection import SteadyRedis
from jobs.embedded_redis import Binary
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import LADDER, Claim, Job
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.redis_server import blocked, calls, expire_lease, until_blocked
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
LONG_S = 20.0
"""Far longer than any test takes: a worker that is not woken fails by it."""


@pytest.fixture
def only_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let idle workers claim only when they are woken."""
    monkeypatch.setattr("jobs.wakeup.POLL_S", LONG_S)


def beat(worker_id: str, *capabilities: str) -> WorkerHeartbeat:
    """The heartbeat of a worker."""
    return WorkerHeartbeat(worker_id, True, (), {}, capabilities=capabilities)


async def finished(task: asyncio.Task[Claim | None]) -> Claim:
    async with asyncio.timeout(LONG_S / 2):
        claim = await task
    assert claim is not None
    return claim


@pytest.mark.usefixtures("only_woken")
async def test_job_wakes_an_idle_worker(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    idle = asyncio.create_task(queue.leases.claim("idle", LONG_S))
    await until_blocked(raw_redis, 1)
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert (await finished(idle)).job == job


@pytest.mark.usefixtures("only_woken")
async def test_each_job_wakes_one_more_worker(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    queues = [open_queue(redis_url, queue_settings) for _ in range(3)]
    idle = [asyncio.create_task(queue.leases.claim("idle", LONG_S)) for queue in queues * 2]
    await until_blocked(raw_redis, len(queues))  # one per process, the others wait behind it
    jobs = [make_job() for _ in idle]
    for job in jobs:
        await queues[0].submissions.submit(job, b"picture")
    claims = [await finished(task) for task in idle]
    assert {claim.job.id for claim in claims} == {job.id for job in jobs}


@pytest.mark.usefixtures("only_woken")
async def test_jobs_requeued_together_wake_one_worker_each(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    queues = [open_queue(redis_url, queue_settings) for _ in range(3)]
    jobs = [make_job() for _ in queues]
    lost: list[Claim] = []
    for job in jobs:
        await queues[0].submissions.submit(job, b"picture")
        claim = await queues[0].leases.claim("dying", 0)
        assert claim is not None
        lost.append(claim)
    idle = [asyncio.create_task(queue.leases.claim("idle", LONG_S)) for queue in queues[1:]]
    await until_blocked(raw_redis, len(idle))
    await expire_lease(raw_redis, Keys(queue_settings.namespace), *lost)
    looking = asyncio.create_task(queues[0].leases.claim("looking", 0))
    claims = [await finished(task) for task in [looking, *idle]]
    assert {claim.job.id for claim in claims} == {job.id for job in jobs}


@pytest.mark.usefixtures("only_woken")
async def test_tokens_do_not_pile_up(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    lists = (keys.wake_for("a"), keys.wake_for("b"), keys.wake_any)

    async def tokens() -> tuple[int, ...]:
        return tuple([await raw_redis.llen(name) for name in lists])

    for model in "aaab":
        await queue.submissions.submit(make_job(model=model), b"picture")
    assert await tokens() == (1, 1, 1)
    for left in ((1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 1, 1)):
        await queue.leases.claim("w", 0, None, lambda: ("a",))
        assert await tokens() == left
    await queue.leases.claim("w", 0)
    assert await tokens() == (0, 0, 0)
    assert not await raw_redis.exists(keys.waits)


@pytest.mark.usefixtures("only_woken")
async def test_token_lost_with_a_worker_loses_no_job(
    queue: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    wake = keys.wake_for("a")
    dying = asyncio.create_task(raw_redis.execute_command("BLPOP", wake, LONG_S))
    await until_blocked(raw_redis, 1)
    idle = asyncio.create_task(queue.leases.claim("idle", LONG_S, None, lambda: ("a",)))
    await until_blocked(raw_redis, 2)
    job = make_job(model="a")
    await queue.submissions.submit(job, b"picture")
    assert await dying is not None  # it has the token, and will never claim
    await queue.registry.publish_heartbeat(beat("another"))
    assert (await finished(idle)).job == job


@pytest.mark.usefixtures("only_woken")
async def test_worker_is_left_alone_by_jobs_of_other_workers(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    """It calls the server no more than while nothing waits: not once."""
    gateway, worker = (open_queue(redis_url, queue_settings) for _ in range(2))
    await gateway.registry.publish_heartbeat(beat("other", "a"))
    await gateway.submissions.submit(make_job(model="a"), b"picture")  # the server knows the steps
    assert await gateway.leases.claim("other", 0) is not None
    await gateway.submissions.stats()
    idle = asyncio.create_task(worker.leases.claim("idle", LONG_S, None, lambda: ("b", "b@1")))
    await until_blocked(raw_redis, 1)
    before = await calls(raw_redis, "evalsha")
    for model in "aaa":
        await gateway.submissions.submit(make_job(model=model, budget_ms=1e4), b"picture")
    for _ in range(5):
        await gateway.submissions.stats()
    assert await blocked(raw_redis) == 1
    assert await calls(raw_redis, "evalsha") == before + 3 + 5, "submissions and stats"
    own = make_job(model="b", pinned_width=1.0, budget_ms=1e5)
    await gateway.submissions.submit(own, b"picture")
    assert (await finished(idle)).job == own
    assert await calls(raw_redis, "evalsha") == before + 3 + 5 + 2, "a submission and a claim"


@pytest.mark.usefixtures("only_woken")
async def test_workers_of_one_process_are_woken_by_their_own_jobs(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:

    def waiting(model: str) -> asyncio.Task[Claim | None]:
        return asyncio.create_task(queue.leases.claim(model, LONG_S, None, lambda: (model,)))

    idle = {model: waiting(model) for model in ("a", "b", LADDER)}
    await until_blocked(raw_redis, len(idle))
    for model in ("b", None, "a"):
        job = make_job(model=model)
        await queue.submissions.submit(job, b"picture")
        assert (await finished(idle[model or LADDER])).job == job


@pytest.mark.usefixtures("only_woken")
async def test_worker_that_can_run_more_now_looks_at_once(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    capable, changed = ["b"], asyncio.Event()
    job = make_job(model="a")
    await queue.submissions.submit(job, b"picture")
    idle = asyncio.create_task(
        queue.leases.claim("idle", LONG_S, asyncio.Event(), lambda: capable, changed)
    )
    await until_blocked(raw_redis, 1)
    capable.append("a")
    changed.set()
    assert (await finished(idle)).job == job


@pytest.mark.usefixtures("only_woken")
async def test_lease_that_runs_out_wakes_an_idle_worker_with_the_next_heartbeat(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    gateway, worker = (open_queue(redis_url, queue_settings) for _ in range(2))
    await gateway.submissions.submit(make_job(), b"picture")
    lost = await gateway.leases.claim("dying", 0)
    assert lost is not None
    idle = asyncio.create_task(worker.leases.claim("idle", LONG_S))
    await until_blocked(raw_redis, 1)
    await gateway.registry.publish_heartbeat(beat("first"))  # which looks after the queue
    await expire_lease(raw_redis, Keys(queue_settings.namespace), lost)
    await gateway.registry.publish_heartbeat(beat("second"))
    claim = await finished(idle)
    assert (claim.job, claim.attempt) == (lost.job, 2)


@pytest.mark.usefixtures("only_woken")
async def test_job_that_nobody_can_run_ends_by_a_worker_of_other_models(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    gateway, worker = (open_queue(redis_url, queue_settings) for _ in range(2))
    keys, stopping = Keys(queue_settings.namespace), asyncio.Event()
    idle = asyncio.create_task(worker.leases.claim("idle", LONG_S, stopping, lambda: ("b",)))
    await until_blocked(raw_redis, 1)
    job = make_job(model="gone")
    await gateway.submissions.submit(job, b"picture")

    async def ended() -> bool:
        await raw_redis.delete(keys.swept)  # a second has passed
        await gateway.registry.publish_heartbeat(beat("idle", "b"))
        return (await gateway.submissions.view(job.id)).error_code == "unknown_model"

    await eventually(ended, "the end of a job that nobody can run")
    stopping.set()
    assert await idle is None


@pytest.mark.usefixtures("only_woken")
async def test_cut_connection_is_made_again(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    idle = asyncio.create_task(queue.leases.claim("idle", LONG_S))
    await until_blocked(raw_redis, 1)
    await raw_redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert (await finished(idle)).job == job


@pytest.mark.usefixtures("only_woken")
async def test_worker_that_stops_waiting_leaves_the_line_in_order(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    impatient = asyncio.create_task(queue.leases.claim("impatient", LONG_S))
    await until_blocked(raw_redis, 1)
    patient = asyncio.create_task(queue.leases.claim("patient", LONG_S))
    impatient.cancel()
    await asyncio.wait([impatient])
    assert impatient.cancelled()
    assert await queue.leases.claim("brief", 0.05) is None
    await until_blocked(raw_redis, 1)
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert (await finished(patient)).job == job


@pytest.mark.usefixtures("only_woken")
async def test_stopped_worker_leaves_the_line_at_once(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    stopping = asyncio.Event()
    first = asyncio.create_task(queue.leases.claim("first", LONG_S, stopping))
    await until_blocked(raw_redis, 1)
    before = await calls(raw_redis, "evalsha")
    behind = asyncio.create_task(queue.leases.claim("behind", LONG_S, stopping))

    async def tried() -> bool:
        return await calls(raw_redis, "evalsha") > before

    await eventually(tried, "a first attempt, after which a worker waits in line")
    stopping.set()
    async with asyncio.timeout(LONG_S / 2):
        assert await first is None
        assert await behind is None
        assert await queue.leases.claim("already stopped", LONG_S, stopping) is None
    await until_blocked(raw_redis, 0)
    idle = asyncio.create_task(queue.leases.claim("idle", LONG_S, asyncio.Event()))
    await until_blocked(raw_redis, 1)
    job = make_job()
    await queue.submissions.submit(job, b"picture")
    assert (await finished(idle)).job == job


@pytest.mark.usefixtures("only_woken")
async def test_job_that_comes_as_its_worker_stops_is_claimed_or_left(
    queue: RedisQueue, raw_redis: Redis, make_job: MakeJob
) -> None:
    """It is never leased to a worker that does not have it, at whatever moment the worker stops."""
    for turns in range(12):
        stopping = asyncio.Event()
        idle = asyncio.create_task(queue.leases.claim("idle", 0, stopping))
        assert await idle is None
        waiting = asyncio.create_task(queue.leases.claim("idle", LONG_S, stopping))
        await until_blocked(raw_redis, 1)
        submission = asyncio.create_task(queue.submissions.submit(make_job(), b"picture"))
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping.set()
        async with asyncio.timeout(LONG_S / 2):
            view, claim = await submission, await waiting
        if claim is None:
            claim = await queue.leases.claim("another", 0)
        assert claim is not None
        assert (claim.job.id, claim.attempt) == (view.job.id, 1)
        await until_blocked(raw_redis, 0)


@pytest.mark.usefixtures("only_woken")
async def test_wake_up_and_claim_are_one_call(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that blocks sends nothing more until it has the job."""
    gateway, worker = (open_queue(redis_url, queue_settings) for _ in range(2))
    exchanged, senders = SteadyRedis._exchanged, []

    async def counted(client: SteadyRedis, *arguments: Any) -> list[Any]:
        senders.append(client)
        return await exchanged(client, *arguments)

    monkeypatch.setattr(SteadyRedis, "_exchanged", counted)
    idle = asyncio.create_task(worker.leases.claim("idle", LONG_S))
    await until_blocked(raw_redis, 1)
    [client] = worker._clients
    before = senders.count(client)
    await gateway.submissions.submit(make_job(), b"picture")
    await finished(idle)
    assert senders.count(client) == before > 0


async def test_outage_reaches_a_worker_that_can_be_stopped(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError("away")

    monkeypatch.setattr("jobs.connection.SteadyRedis.together", away)
    with pytest.raises(ConnectionError, match="away"):
        await queue.leases.claim("w", LONG_S, asyncio.Event())
