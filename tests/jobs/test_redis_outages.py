"""Redis goes away, restarts or fills up: no accepted job is lost, and waiting goes on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import redis

from benchmarks.nemesis.redis_on_disk import RedisOnDisk
from jobs.connection import connect
from jobs.embedded_redis import Binary, embedded_redis, find_binary
from jobs.errors import InternalError, JobNotFound, Overloaded
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import Claim, Job, JobStatus, LeaseState, Reason, RunFacts
from jobs.outages import deliver
from jobs.queue import Gap
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.redis_server import until_subscribed
from tests.support.waiting import eventually_sync

MakeJob = Callable[..., Job]
OpenQueue = Callable[[str, QueueSettings], RedisQueue]
FACTS = RunFacts("anysr-s", 1.0, Reason.WIDEST, 20.0, 21.5)
HEARTBEAT = WorkerHeartbeat("w", True, ("anysr-s",), {}, capabilities=("anysr-s",))
LONG_S = 20.0


class Server:
    """A Redis on a TCP port with an append-only file, which can be killed and restarted."""

    def __init__(self, executable: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [executable, "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--dir", str(folder), "--loglevel", "warning", "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually_sync(self._answers, "the start of the Redis server")

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client, contextlib.suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(params=list(Binary))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    executable = find_binary(request.param)
    if executable is None:
        pytest.skip(f"{request.param} is not installed")
    server = Server(executable, tmp_path)
    server.start()
    yield server
    server.kill()


async def test_restart_loses_nothing(
    server: Server, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    settings = queue_settings.model_copy(update={"redis_url": server.url, "lease_seconds": 60})
    queue = open_queue(server.url, settings)
    done, running, queued = make_job(budget_ms=1e6), make_job(budget_ms=2e6), make_job()
    await queue.submissions.submit(done, b"done")
    first = await queue.leases.claim("w", 0)
    assert first is not None
    await queue.leases.complete(first, FACTS, b"result")
    await queue.submissions.submit(running, b"running")
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    await queue.submissions.submit(queued, b"queued")
    waiter = asyncio.create_task(queue.submissions.wait(running.id, LONG_S))
    idle = asyncio.create_task(queue.leases.claim("idle", LONG_S))
    assert (await idle) is not None

    server.kill()
    for call in (
        queue.submissions.stats(),
        queue.submissions.view(done.id),
        queue.submissions.submit(make_job(), b"lost"),
    ):
        with pytest.raises(ConnectionError):
            await call
    assert not waiter.done()
    server.start()

    assert await queue.submissions.result(await queue.submissions.view(done.id)) == b"result"
    assert (await queue.submissions.view(queued.id)).status is JobStatus.RUNNING
    assert await queue.leases.complete(claim, FACTS, b"result of running")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiter).status is JobStatus.SUCCEEDED
    await queue.submissions.submit(make_job(), b"after")
    after = await queue.leases.claim("w", 0)
    assert after is not None
    assert after.token > claim.token


async def test_queued_jobs_and_a_completion_survive_while_a_waiter_is_cut_off(
    server: Server, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    queue, other = (open_queue(server.url, queue_settings) for _ in range(2))
    jobs = [make_job(budget_ms=1_000_000.0 * n) for n in (1, 2, 3)]
    for job in jobs:
        await queue.submissions.submit(job, job.id.encode())
    waiter = asyncio.create_task(queue.submissions.wait(jobs[0].id, LONG_S))
    raw = connect(server.url)
    await until_subscribed(raw)
    await raw.aclose()
    server.kill()
    server.start()
    for job in jobs:
        claim = await other.leases.claim("w", 0)
        assert claim is not None
        assert (claim.job, claim.payload) == (job, job.id.encode())
        await other.leases.complete(claim, FACTS, b"result")
    async with asyncio.timeout(LONG_S / 2):
        assert (await waiter).status is JobStatus.SUCCEEDED


async def test_without_a_server_every_call_is_a_connection_error(
    queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    with embedded_redis() as url:
        queue = open_queue(url, queue_settings)
        await queue.submissions.submit(make_job(), b"picture")
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        view = replace(await queue.submissions.view(claim.job.id), status=JobStatus.SUCCEEDED)
    job_id = claim.job.id
    calls = (
        queue.submissions.submit(make_job(), b"picture"),
        queue.submissions.cancel(job_id),
        queue.submissions.view(job_id),
        queue.submissions.wait(job_id, 0.1),
        queue.submissions.outcome(view, 0.1),
        anext(queue.submissions.watch(job_id)),
        queue.submissions.result(view),
        queue.submissions.stats(),
        queue.leases.claim("w", 0.1),
        queue.leases.claim_urgent("w", Gap(10.0, 10.0)),
        queue.leases.report_expected_end(claim, 5.0),
        queue.leases.renew(claim, 0.5),
        queue.leases.report_stopped(claim),
        queue.leases.complete(claim, FACTS, b"result"),
        queue.leases.fail(claim, InternalError()),
        queue.registry.count_worker_start(),
        queue.registry.count_stuck_worker(),
        queue.registry.publish_heartbeat(WorkerHeartbeat("w", True, (), {})),
        queue.registry.retire_worker("w"),
        queue.registry.heartbeats(),
        queue.registry.request_reload(),
        queue.registry.reloads(),
        queue.registry.request_model("a"),
        queue.registry.requested_models(),
        queue.registry.health(),
    )
    # At once, because each is repeated for a while.
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, ConnectionError)


async def test_full_memory_refuses_and_keeps_nothing(
    queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    with embedded_redis() as url:
        queue, raw = open_queue(url, queue_settings), connect(url)
        await queue.submissions.submit(make_job(), b"picture")
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        before = await raw.dbsize()
        await raw.config_set("maxmemory", 1)
        with pytest.raises(Overloaded):
            await queue.submissions.submit(make_job(), b"picture")
        assert await raw.dbsize() == before
        with pytest.raises(ConnectionError):
            await queue.leases.complete(claim, FACTS, b"result")
        await queue.registry.publish_heartbeat(HEARTBEAT)
        assert await queue.registry.heartbeats() == [HEARTBEAT]  # or no worker would seem to live
        await raw.config_set("maxmemory", 0)
        assert await queue.leases.complete(claim, FACTS, b"result")
        await raw.aclose()


@pytest.fixture(params=list(Binary))
def private_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if find_binary(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with embedded_redis(request.param) as url:
        yield url


async def test_private_redis_that_is_killed_has_lost_its_jobs_and_takes_new_ones(
    private_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    gateway, worker = (open_queue(private_url, queue_settings) for _ in range(2))
    await worker.registry.publish_heartbeat(HEARTBEAT)
    running, queued = make_job(budget_ms=1e6), make_job(budget_ms=2e6)
    views = [await gateway.submissions.submit(job, b"picture") for job in (running, queued)]
    waiters = [asyncio.create_task(gateway.submissions.outcome(view, LONG_S)) for view in views]
    claim = await worker.leases.claim("w", 0)
    assert claim is not None
    raw = connect(private_url)
    server = psutil.Process((await raw.info("server"))["process_id"])
    server.kill()
    async with asyncio.timeout(LONG_S / 2):
        for waiter in waiters:
            with pytest.raises(JobNotFound):
                await waiter
        assert await gateway.registry.heartbeats() == []
        assert await worker.leases.renew(claim, 0.5) is LeaseState.LOST
        assert not await worker.leases.complete(claim, FACTS, b"result")
        await worker.registry.publish_heartbeat(HEARTBEAT)
        assert await gateway.registry.heartbeats() == [HEARTBEAT]
        view = await gateway.submissions.submit(make_job(), b"picture")
        after = await worker.leases.claim("w", LONG_S)
        assert after is not None
        assert await worker.leases.complete(after, FACTS, b"result")
        ended = await gateway.submissions.wait(view.job.id, LONG_S)
        assert await gateway.submissions.result(ended) == b"result"
    await raw.aclose()


async def test_outage_of_the_pictures_uses_up_no_attempt(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    job = make_job()
    queue = open_queue(redis_url, queue_settings)
    await queue.submissions.submit(job, b"picture")
    nowhere = queue_settings.model_copy(update={"blob_url": "unix:///nowhere/redis.sock"})
    cut_off = open_queue(redis_url, nowhere)
    for _ in range(queue_settings.max_attempts + 1):
        with pytest.raises(ConnectionError):
            await cut_off.leases.claim("w", 0)
    claim = await queue.leases.claim("w", 0)
    assert claim is not None
    assert (claim.job, claim.attempt, claim.payload) == (job, 1, b"picture")
    assert await queue.leases.complete(claim, FACTS, b"result")


async def test_a_full_disk_is_an_outage_and_no_picture_is_made_again(
    tmp_path: Path, queue_settings: QueueSettings, open_queue: OpenQueue, make_job: MakeJob
) -> None:
    store = RedisOnDisk(tmp_path)
    store.start()
    try:
        settings = queue_settings.model_copy(update={"redis_url": store.url, "lease_seconds": 60})
        queue, job = open_queue(store.url, settings), make_job()
        await queue.submissions.submit(job, b"picture")
        claim = await queue.leases.claim("w", 0)
        assert claim is not None
        store.fill_disk()
        with redis.Redis.from_url(store.url) as client:
            eventually_sync(lambda: _refuses_writes(client), "a server that refuses writes")
        for call in (
            queue.submissions.submit(make_job(), b"other"),
            queue.leases.renew(claim, 0.5),
            queue.leases.complete(claim, FACTS, b"result"),
            queue.registry.publish_heartbeat(HEARTBEAT),
        ):
            with pytest.raises(ConnectionError):
                await call
        assert (await queue.submissions.view(job.id)).status is JobStatus.RUNNING
        delivering = asyncio.create_task(deliver(lambda: _completed(queue, claim)))
        store.free_disk()
        assert await delivering
        assert await queue.submissions.result(await queue.submissions.view(job.id)) == b"result"
    finally:
        store.stop()


def _refuses_writes(client: redis.Redis) -> bool:
    try:
        client.set("full", "x")
    except redis.ResponseError as error:
        return str(error).startswith("MISCONF")
    return False


async def _completed(queue: RedisQueue, claim: Claim) -> bool:
    return await queue.leases.complete(claim, FACTS, b"result")
