"""The watchdog: a run that hangs ends its worker, and a slow or suspended one does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.backlog import Backlog
from jobs.formats import ImageFormat
from jobs.redis_queue import RedisQueue
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.stages import encode_stage
from tests.support.waiting import eventually
from tests.workers.workbench import Gated, a_job, a_worker, costs_of, models_of, photograph
from workers.background import background_task
from workers.binding import Binding
from workers.pipeline import Progress
from workers.watchdog import STUCK_EXIT_CODE, Watchdog, WatchedRun


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.watchdog.POLL_S", 0.01)


def a_run(waits: bool = False, stopped: bool = False) -> Any:
    """A run as the watchdog sees it."""
    progress = Progress()
    if stopped:
        progress.stop()
    return SimpleNamespace(progress=progress, waits=waits)


def bound(costs: CostModel) -> Binding:
    load = Load.of(Backlog(now_ms=0.0), 1, free=1)
    return Binding(a_job(pinned_width=1.0), models_of(Gated()), costs, 1e6, load)


async def test_a_cancelled_run_that_hangs_ends_the_worker(queue: RedisQueue) -> None:
    session, ends = Gated(), list[int]()
    watchdog = Watchdog(0.2, queue.registry.count_stuck_worker, ends.append)
    job = a_job()
    async with a_worker(queue, models_of(session), watchdog=watchdog):
        await queue.submissions.submit(job, photograph())
        await eventually(session.entered.is_set, "the start of the run")
        await asyncio.sleep(0.3)
        assert ends == [], "it is not stopped yet"
        await queue.submissions.cancel(job.id)
        await eventually(lambda: ends, "the end of the worker")
        session.gate.set()
    assert ends == [STUCK_EXIT_CODE]
    assert (await queue.registry.health()).stuck_workers == 1


async def test_a_run_that_takes_far_too_long_ends_the_worker(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.watchdog.OVERDUE_S", 0.2)
    session, ends = Gated(), list[int]()
    watchdog = Watchdog(3600.0, queue.registry.count_stuck_worker, ends.append)
    job = a_job()
    async with a_worker(queue, models_of(session), costs_of(0.1), watchdog=watchdog):
        await queue.submissions.submit(job, photograph())
        await eventually(lambda: ends, "the end of the worker")
        session.gate.set()
    assert ends == [STUCK_EXIT_CODE]


async def test_the_worker_ends_where_it_cannot_be_counted() -> None:
    ends = list[int]()

    async def away() -> None:
        raise ConnectionError("away")

    watchdog = Watchdog(0.01, away, ends.append)
    with watchdog.watching("job", a_run(stopped=True)):
        async with background_task(watchdog.run()):
            await eventually(lambda: ends, "the end of the worker")


async def test_a_run_that_has_come_back_is_watched_no_longer() -> None:
    ends = list[int]()

    async def count() -> None:
        pass

    watchdog = Watchdog(0.05, count, ends.append)
    async with background_task(watchdog.run()):
        with watchdog.watching("job", a_run(stopped=True)):
            pass
        await asyncio.sleep(0.3)
    assert ends == []


async def test_time_in_which_the_process_was_suspended_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends, looks = list[int](), iter(range(0, 10**9, 3600))
    clock = SimpleNamespace(monotonic=lambda: next(looks))
    monkeypatch.setattr("workers.watchdog.time", clock)

    async def count() -> None:
        pass

    watchdog = Watchdog(3600.0, count, ends.append)
    with watchdog.watching("job", a_run(stopped=True)):
        async with background_task(watchdog.run()):
            await asyncio.sleep(0.3)
    assert next(looks) > 2 * 3600
    assert ends == []


def test_a_run_that_waits_for_the_event_loop_is_not_timed() -> None:
    run = a_run(waits=True, stopped=True)
    watched = WatchedRun("job", run, stuck_s=10.0)
    watched.advance(1e6)
    assert watched.fault() is None
    run.waits = False
    watched.advance(10.5)
    assert watched.fault() is not None


def test_a_run_may_take_twenty_times_as_long_as_predicted() -> None:
    watched = WatchedRun("job", a_run(), stuck_s=10.0)
    watched.bind(bound(costs_of(network_ms=10_000.0)))
    watched.advance(200.0)
    assert watched.fault() is None
    watched.advance(1.0)
    assert watched.fault() == "has taken 201 s, of at most 200 s"


def test_a_short_run_may_take_a_minute() -> None:
    watched = WatchedRun("job", a_run(), stuck_s=10.0)
    watched.bind(bound(costs_of(network_ms=10.0)))
    watched.advance(60.0)
    assert watched.fault() is None
    watched.advance(0.5)
    assert watched.fault() is not None


def test_a_stopped_run_may_end_its_encoding_but_not_its_network() -> None:
    costs = costs_of(network_ms=1e6)
    costs.lines[encode_stage(ImageFormat.PNG)] = Line(10_000.0, 0, 0)
    watched = WatchedRun("job", a_run(stopped=True), stuck_s=10.0)
    watched.bind(bound(costs))
    watched.advance(40.0)
    assert watched.fault() is None
    watched.advance(0.5)
    assert watched.fault() == "was stopped 40 s ago, and has not returned"
