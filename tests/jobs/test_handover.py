"""A job that was handed to a waiting worker counts as attempted once the worker shows that it is
awake."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from jobs.connection import SteadyRedis
from jobs.embedded_redis import Binary
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Claim, Job, JobStatus, LeaseState, Reason, RunFacts
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.redis_server import blocked, expire_lease, until_blocked
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
LONG_S = 20.0
"""Far longer than any test takes: a worker that is not woken fails by it."""


@pytest.fixture(autouse=True)
def only_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let idle workers claim only when they are woken."""
    monkeypatch.setattr("jobs.wakeup.POLL_S", LONG_S)


def waiting(queue: RedisQueue, worker: str, model: str = "a") -> asyncio.Task[Claim | None]:
    return asyncio.create_task(queue.leases.claim(worker, LONG_S, None, lambda: (model,)))


async def finished(task: asyncio.Task[Claim | None]) -> Claim:
    async with asyncio.timeout(LONG_S / 2):
        claim = await task
    assert claim is not None
    return claim


@pytest.fixture
async def worker(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue
) -> RedisQueue:
    """The queue of another process."""
    return open_queue(redis_url, queue_settings)


@dataclass
class Hands:
    """A job that is handed over from one waiting worker to the next."""

    queue: RedisQueue
    worker: RedisQueue
    raw: Redis
    keys: Keys

    async def first(self, job: Job) -> Claim:
        idle = waiting(self.worker, "first")
        await until_blocked(self.raw, 1)
        await self.queue.submissions.submit(job, b"picture")
        return await finished(idle)

    async def next(self, claim: Claim) -> Claim:
        """Let a lease run out, and return the claim of the worker that waited meanwhile."""
        idle = waiting(self.worker, "next")
        await until_blocked(self.raw, 1)
        await self.run_out(claim)
        return await finished(idle)

    async def run_out(self, claim: Claim) -> None:
        """Let a lease run out, and have a worker of another model notice it."""
        await expire_lease(self.raw, self.keys, claim)
        assert await self.queue.leases.claim("other", 0, None, lambda: ("b",)) is None


@pytest.fixture
def hands(queue: RedisQueue, worker: RedisQueue, raw_redis: Redis, keys: Keys) -> Hands:
    return Hands(queue, worker, raw_redis, keys)


async def test_unanswered_hand_overs_use_up_no_attempt(
    hands: Hands, queue: RedisQueue, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    job = make_job(model="a")
    claim = await hands.first(job)
    for _ in range(queue_settings.max_attempts + 2):
        assert (claim.job, claim.attempt, claim.handed_over) == (job, 1, True)
        before, claim = claim, await hands.next(claim)
        assert await queue.leases.renew(before, 0.0) is LeaseState.LOST, (
            "it learns that as it wakes"
        )
        await queue.leases.report_stopped(before)
    await hands.run_out(claim)
    view = await queue.submissions.view(job.id)
    assert (view.status, view.attempt) == (JobStatus.QUEUED, 0)
    awake = await queue.leases.claim("awake", 0)
    assert awake is not None
    assert (awake.attempt, awake.handed_over) == (1, False)
    assert await queue.leases.complete(awake, FACTS, b"result")


async def test_worker_that_dies_with_each_run_ends_the_job(
    hands: Hands, queue: RedisQueue, queue_settings: QueueSettings, make_job: MakeJob
) -> None:
    job = make_job(model="a")
    claim = await hands.first(job)
    for attempt in range(1, queue_settings.max_attempts + 1):
        assert (claim.attempt, claim.handed_over) == (attempt, True)
        assert await queue.leases.renew(claim, 0.0) is LeaseState.HELD
        if attempt < queue_settings.max_attempts:
            claim = await hands.next(claim)
    await hands.run_out(claim)
    view = await queue.submissions.view(job.id)
    assert (view.status, view.error_code) == (JobStatus.FAILED, "worker_lost")


async def test_hand_over_has_a_short_lease_until_the_worker_answers(
    queue: RedisQueue, worker: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    idle = waiting(worker, "idle")
    await until_blocked(raw_redis, 1)
    await queue.submissions.submit(make_job(model="a"), b"picture")
    claim = await finished(idle)

    async def lease_ms() -> float:
        return float(await raw_redis.zscore(keys.leases, claim.job.id) or 0.0) - claim.claimed_ms

    assert await lease_ms() == pytest.approx(1000.0, abs=0.01)
    assert await worker.leases.renew(claim, 0.0) is LeaseState.HELD
    assert await lease_ms() >= 5000.0
    assert await queue.leases.claim("other", 0) is None


async def test_worker_without_heartbeats_is_passed_over_for_one_that_is_awake(
    redis_url: str,
    queue: RedisQueue,
    raw_redis: Redis,
    keys: Keys,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    for name in ("asleep", "awake"):
        await queue.registry.publish_heartbeat(WorkerHeartbeat(name, True, (), {}))
    await raw_redis.zadd(keys.workers, {"asleep": 1.0})  # silent since 1970
    sleeper = SleepingWorker(open_queue(redis_url, queue_settings))
    await sleeper.wait("asleep", raw_redis)
    awake = waiting(open_queue(redis_url, queue_settings), "awake")
    await until_blocked(raw_redis, 2)
    job = make_job(model="a")
    await queue.submissions.submit(job, b"picture")
    assert (await finished(awake)).job == job
    assert await sleeper.answer() == [[], None, 1]


class SleepingWorker:
    """Sends what a waiting worker sends, and then does nothing."""

    def __init__(self, queue: RedisQueue) -> None:
        self._queue = queue
        self._task: asyncio.Task[object] | None = None

    async def wait(self, worker: str, raw: Redis) -> None:
        """Block for jobs of model a."""
        before, leases = await blocked(raw), self._queue.leases
        arguments = leases._bounds(worker, ("a",), handed_over=True)
        run = leases._wake.run(LONG_S, (), ("a",), "claim", *arguments)
        self._task = asyncio.create_task(run)
        await until_blocked(raw, before + 1)

    async def answer(self) -> object:
        """Return what the server has answered."""
        assert self._task is not None
        return await self._task


async def test_worker_whose_heartbeats_are_late_gets_jobs_nevertheless(
    queue: RedisQueue, worker: RedisQueue, raw_redis: Redis, keys: Keys, make_job: MakeJob
) -> None:
    await queue.registry.publish_heartbeat(WorkerHeartbeat("late", True, (), {}))
    await raw_redis.zadd(keys.workers, {"late": 1.0})
    idle = waiting(worker, "late")
    await until_blocked(raw_redis, 1)
    job = make_job(model="a")
    await queue.submissions.submit(job, b"picture")
    claim = await finished(idle)
    assert (claim.job, claim.attempt, claim.handed_over) == (job, 1, False)


WORKER = """
import asyncio, sys
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Reason, RunFacts
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

async def beat(queue, name):
    while True:
        await queue.registry.publish_heartbeat(
            WorkerHeartbeat(name, True, (), {}, capabilities=("a",))
        )
        await asyncio.sleep(0.1)

async def main(url, namespace, name):
    settings = QueueSettings(namespace=namespace, lease_seconds=0.2, max_attempts=1)
    queue = RedisQueue.connect(url, settings)
    beating = asyncio.create_task(beat(queue, name))
    while True:
        claim = await queue.leases.claim(name, 60, None, lambda: ("a",))
        if claim and claim.handed_over and (await queue.leases.renew(claim, 0)).value != "held":
            continue
        if claim:
            facts = RunFacts("a", 1.0, Reason.WIDEST, 1.0, 1.0)
            await queue.leases.complete(claim, facts, claim.payload)

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def processes(url: str, namespace: str, number: int) -> AsyncIterator[list[int]]:
    """Run workers in processes of their own."""
    started = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, url, namespace, f"w{n}")
        for n in range(number)
    ]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
            await process.wait()


async def test_job_outlives_the_sleep_of_all_workers(
    redis_url: str,
    queue: RedisQueue,
    raw_redis: SteadyRedis,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    make_job: MakeJob,
) -> None:
    """They are stopped for longer than their leases and attempts last."""
    once = queue_settings.model_copy(update={"max_attempts": 1, "lease_seconds": 0.2})
    other, job = open_queue(redis_url, once), make_job(model="a")
    async with processes(redis_url, queue_settings.namespace, 2) as pids:
        await until_blocked(raw_redis, 2)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await queue.submissions.submit(job, b"picture")

        async def handed_over_to_both() -> bool:
            await other.leases.claim("other", 0, None, lambda: ("b",))
            return (await other.registry.health()).redeliveries >= len(pids)

        await eventually(handed_over_to_both, "two leases that ran out")
        assert (await queue.submissions.view(job.id)).status is JobStatus.QUEUED
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        view = await queue.submissions.wait(job.id, PATIENCE_S)
    assert (view.status, view.attempt) == (JobStatus.SUCCEEDED, 1)
