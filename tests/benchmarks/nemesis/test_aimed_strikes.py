"""Aimed faults: each meets a worker with a job, and lets its result arrive when nobody may take it.

The service is its Redis, proxies and processes that sleep; the tests say what a worker would."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis.asyncio

from benchmarks.nemesis import aimed_strikes, watching
from benchmarks.nemesis.aimed_strikes import AimedStrikes
from benchmarks.nemesis.aiming import Run, Runs
from benchmarks.nemesis.callers import Book
from benchmarks.nemesis.faults import GATEWAYS, WORKERS, Fault, Kind
from benchmarks.nemesis.history import Recorder, What, events_of
from benchmarks.nemesis.observing import Observer
from benchmarks.nemesis.processes import Kept
from benchmarks.nemesis.proxy import Proxy
from benchmarks.nemesis.redis_on_disk import RedisOnDisk
from benchmarks.nemesis.topology import Topology
from benchmarks.nemesis.watching import Records
from jobs.keys import Keys
from tests.support.waiting import eventually

JOB, MARK = "job-1", 7


@dataclass
class Scene:
    """A service, and what a test says for its workers and gateways."""

    service: Topology
    began: asyncio.Event = field(default_factory=asyncio.Event)
    history: io.StringIO = field(default_factory=io.StringIO)
    asked: list[str] = field(default_factory=list)
    within_s: float = 30.0

    async def claimed(self, worker: int, token: int) -> None:
        keys, client = self.service.keys, self.service.client
        name = f"some-host-{self.service.workers[worker].pid}-ab12"
        fields: Mapping[Any, Any] = {
            "status": "running",
            "token": str(token),
            "worker": name,
        }
        await client.hset(keys.record(JOB), mapping=fields)
        await client.zadd(keys.leases, {JOB: 1e15})

    async def ended(self, status: str = "succeeded") -> None:
        await self.service.client.hset(self.service.keys.record(JOB), "status", status)
        await self.service.client.zrem(self.service.keys.leases, JOB)

    async def delivers(self, worker: int, token: int) -> asyncio.StreamWriter:
        port = self.service.proxy_of_worker(worker).port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"SET {self.service.keys.result(JOB, token)} picture\r\n".encode())
        return writer

    async def delivers_held_up(self, worker: int, token: int) -> asyncio.StreamWriter:
        proxy = self.service.proxy_of_worker(worker)
        await eventually(lambda: proxy.awaits(b"result"), "a fault that waits for the result")
        assert not self.began.is_set()
        writer = await self.delivers(worker, token)
        await self.began.wait()
        return writer

    async def has_result(self, token: int) -> bool:
        return bool(await self.service.client.exists(self.service.keys.result(JOB, token)))

    def strike(self, kind: Kind) -> asyncio.Task[tuple[str, bool] | None]:
        book = Book(jobs={JOB: MARK})
        observer = Observer(self._gateway(), ("http://gateway",), Recorder(self.history))
        strikes = AimedStrikes(self.service, observer, book)
        return asyncio.create_task(
            strikes.bring_about(Fault(0.0, kind, 0, 20.0, False), self.within_s, self.began.set)
        )

    def _gateway(self) -> httpx.AsyncClient:
        async def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request.method)
            await self.ended("cancelled")
            times = dict.fromkeys(("submitted_ms", "deadline_ms", "finished_ms"), 1.0)
            return httpx.Response(200, json={"id": JOB, "status": "cancelled", **times})

        return httpx.AsyncClient(transport=httpx.MockTransport(answer))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        store = RedisOnDisk(tmp_path)
        store.start()
        stack.callback(store.stop)
        client = redis.asyncio.Redis(unix_socket_path=str(store.socket), decode_responses=True)
        stack.push_async_callback(client.aclose)
        proxies = tuple(Proxy(store.socket) for _ in range(GATEWAYS + WORKERS))
        for proxy in proxies:
            await proxy.start()
            stack.push_async_callback(proxy.stop)
        log = stack.enter_context((tmp_path / "log").open("wb"))
        workers = tuple(Kept("w", ("sleep", "600"), {}, log, print) for _ in range(WORKERS))
        for worker in workers:
            await stack.enter_async_context(kept(worker))
        yield Scene(Topology(store, proxies, (), workers, (), client, Keys("n")))


@asynccontextmanager
async def kept(worker: Kept) -> AsyncIterator[None]:
    task = asyncio.create_task(worker.keep())
    await eventually(lambda: worker.pid, "its start")
    yield
    await worker.stop()
    await task


async def test_runs_are_those_under_a_lease_by_a_worker_that_lives(scene: Scene) -> None:
    await scene.claimed(1, 5)
    await scene.service.client.zadd(scene.service.keys.leases, {f"{JOB}:4": 1e15})
    assert await Runs(scene.service).now() == [Run(JOB, "5", 1)]
    await scene.ended()
    assert await Runs(scene.service).now() == []


async def test_the_claims_of_a_job_are_recorded_once_when_it_has_ended(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SETTLED_S", 0.0)
    records = Records(scene.service, Recorder(scene.history), Book(jobs={JOB: MARK, "other": 8}))
    await scene.claimed(0, 1)
    await scene.service.client.hset(scene.service.keys.record(JOB), "attempt", "2")
    await records.look()
    assert scene.history.getvalue() == ""
    await scene.ended()
    for _ in range(2):
        await records.look()
    (event,) = events_of(scene.history.getvalue().splitlines())
    assert (event.what, event.job, event.mark, event.count) == (What.RECORD, JOB, MARK, 2)


async def test_a_late_result_arrives_once_its_job_has_ended(scene: Scene) -> None:
    await scene.claimed(0, 1)
    strike, writer = scene.strike(Kind.LATE_RESULT), await scene.delivers_held_up(0, 1)
    await scene.claimed(1, 2)
    assert not await scene.has_result(1)
    await scene.ended()
    assert await strike == (JOB, True)
    await eventually(lambda: scene.has_result(1), "the result")
    writer.close()


async def test_of_two_results_the_first_arrives_before_the_second(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aimed_strikes, "TOGETHER_S", 3600.0)
    await scene.claimed(0, 1)
    strike, writers = scene.strike(Kind.TWO_RESULTS), [await scene.delivers_held_up(0, 1)]
    await scene.claimed(2, 2)
    await eventually(lambda: scene.has_result(1), "the first result")
    writers.append(await scene.delivers(2, 2))
    second = scene.service.proxy_of_worker(2)
    name = scene.service.keys.result(JOB, 2).encode()
    await eventually(lambda: second.holds(name), "the second one, held up")
    strike.cancel()
    await asyncio.gather(strike, return_exceptions=True)
    await eventually(lambda: scene.has_result(2), "the second result")
    for writer in writers:
        writer.close()


async def test_an_unwanted_result_arrives_once_its_job_is_withdrawn(scene: Scene) -> None:
    await scene.claimed(0, 1)
    strike, writer = scene.strike(Kind.UNWANTED_RESULT), await scene.delivers_held_up(0, 1)
    assert await strike == (JOB, True)
    assert scene.asked == ["DELETE"]
    (event,) = events_of(scene.history.getvalue().splitlines())
    assert (event.what, event.via, event.status) == (What.STATE, "cancel", "cancelled")
    await eventually(lambda: scene.has_result(1), "the result")
    writer.close()


async def test_a_stopped_worker_goes_on_once_its_job_is_anothers(scene: Scene) -> None:
    await scene.claimed(0, 1)
    process = psutil.Process(scene.service.workers[0].pid)
    strike = scene.strike(Kind.OVERTAKEN)
    await scene.began.wait()
    await eventually(lambda: process.status() == psutil.STATUS_STOPPED, "a stopped worker")
    await scene.claimed(1, 2)
    assert await strike == (JOB, True)
    await eventually(lambda: process.status() == psutil.STATUS_SLEEPING, "one that goes on")


async def test_without_a_job_nothing_is_struck(scene: Scene) -> None:
    scene.within_s = 0.05
    assert await scene.strike(Kind.LATE_RESULT) is None
    assert not scene.began.is_set()
