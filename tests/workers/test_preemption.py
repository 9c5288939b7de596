"""Preemption between tiles and during one, and narrower widths for runs that fall behind."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from images.decode import decode
from images.floor import enlarge
from images.picture import FloatArray
from jobs.backlog import Backlog, Group
from jobs.job import JobStatus, LeaseState, OnMiss, Reason
from jobs.redis_queue import RedisQueue
from models.expectation import expectation_of
from models.geometry import AxisGrid
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.rungs import FLOOR, ladder
from scheduling.stages import stage_of
from tests.support.networks import nearest
from tests.support.waiting import PATIENCE_S, eventually
from tests.workers.workbench import (
    ChangedLeases,
    RunClock,
    a_job,
    a_worker,
    costs_of,
    default_entry,
    models_of,
    photograph,
)
from workers.decoders import Decoders
from workers.execution import Execution, execute
from workers.features import features_of
from workers.preemption import POLL_S
from workers.runtimes.base import Interrupted
from workers.suspended_run import SuspendedRun
from workers.watchdog import Watchdog

TILE_PIXELS = 200  # a picture of 48 x 40 then has several tiles
SOME_POLLS_S = 5 * POLL_S
"""Time in which a job that could preempt a run would do so."""


class AtWidth:
    """A width of a `Stepwise`."""

    def __init__(self, session: Stepwise, width: float) -> None:
        self.session = session
        self.width = width

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        strength: float = 0.0,  # noqa: ARG002
    ) -> FloatArray:
        return self.session.run(self.width, image, rows, columns)


class InterruptibleAtWidth(AtWidth):
    """A width of a session that can be interrupted."""

    def interrupt(self) -> None:
        self.session.interrupt()


class Stepwise:
    """A session that runs one tile for each step of the test."""

    def __init__(self) -> None:
        self.steps = threading.Semaphore(0)
        self.widths: list[float] = []

    def at(self, width: float) -> AtWidth:
        return AtWidth(self, width)

    def run(self, width: float, image: FloatArray, rows: AxisGrid, columns: AxisGrid) -> FloatArray:
        self.widths.append(width)
        assert self.steps.acquire(timeout=PATIENCE_S), "the test allowed no further tile"
        return nearest(image, rows, columns)

    def interrupt(self) -> None:
        raise AssertionError("it cannot be interrupted")

    def finish(self) -> None:
        """Let all remaining tiles run."""
        self.steps.release(1000)


class Breakable(Stepwise):
    """A session that can be interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupts = 0

    def at(self, width: float) -> AtWidth:
        return InterruptibleAtWidth(self, width)

    def interrupt(self) -> None:
        self.interrupts += 1
        self.steps.release()

    def run(self, *arguments: Any) -> FloatArray:
        interrupts = self.interrupts
        made = super().run(*arguments)
        if self.interrupts > interrupts:
            raise Interrupted
        return made


class TooLate(Stepwise):
    """A session whose runs have always just ended when they are interrupted."""

    def at(self, width: float) -> AtWidth:
        return InterruptibleAtWidth(self, width)

    def interrupt(self) -> None:
        self.finish()


async def begun(session: Stepwise, tiles: int = 1) -> None:
    """Wait until so many tiles have begun."""
    await eventually(lambda: len(session.widths) >= tiles, f"the start of tile {tiles}")


async def ended(queue: RedisQueue, job_id: str):
    view = await queue.submissions.wait(job_id, PATIENCE_S)
    assert view.status is JobStatus.SUCCEEDED, view.error_code
    return view


async def test_a_run_is_suspended_for_a_job_that_cannot_wait(queue: RedisQueue) -> None:
    session, registry = Stepwise(), CollectorRegistry()
    long, urgent = a_job(), a_job(budget_ms=6_000)
    models = models_of(session, TILE_PIXELS)
    async with a_worker(queue, models, costs_of(network_ms=20_000), registry):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        session.steps.release()
        first = await ended(queue, urgent.id)
        assert (await queue.submissions.view(long.id)).status is JobStatus.RUNNING
        session.finish()
        second = await ended(queue, long.id)
    assert first.finished_ms < second.finished_ms
    assert second.facts.stages_ms["yielded"] > 0
    assert second.facts.reason is Reason.WIDEST  # it had time to spare
    assert registry.get_sample_value("anysr_yields_total") == 1


async def test_a_tile_is_interrupted_for_a_job_that_cannot_wait_for_its_end(
    queue: RedisQueue,
) -> None:
    session, costs = Breakable(), costs_of(network_ms=20_000)
    long, urgent, next_urgent = a_job(), a_job(budget_ms=6_000), a_job(budget_ms=7_000)
    async with a_worker(queue, models_of(session), costs):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        first = await ended(queue, urgent.id)
        assert (await queue.submissions.view(long.id)).status is JobStatus.RUNNING
        await begun(session, 2)
        await queue.submissions.submit(next_urgent, photograph())
        await asyncio.sleep(SOME_POLLS_S)  # once per run is enough
        assert (await queue.submissions.view(next_urgent.id)).status is JobStatus.QUEUED
        session.finish()
        second = await ended(queue, long.id)
        await ended(queue, next_urgent.id)
    assert first.finished_ms < second.finished_ms
    assert second.facts.stages_ms["yielded"] > 0
    assert second.facts.reason is Reason.WIDEST
    assert session.interrupts == 1
    assert "network" not in costs.slowdown


async def test_a_tile_of_a_cancelled_picture_is_not_finished(queue: RedisQueue) -> None:
    session, long, following = Breakable(), a_job(), a_job()
    async with a_worker(queue, models_of(session), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(following, photograph())
        await queue.submissions.cancel(long.id)
        await begun(session, 2)
        session.finish()
        await ended(queue, following.id)
    assert session.interrupts == 1


async def test_a_tile_that_cannot_be_interrupted_is_finished_first(queue: RedisQueue) -> None:
    session = Stepwise()
    long, urgent = a_job(), a_job(budget_ms=6_000)
    async with a_worker(queue, models_of(session), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        await asyncio.sleep(SOME_POLLS_S)  # nothing happens
        assert (await queue.submissions.view(urgent.id)).status is JobStatus.QUEUED
        session.finish()
        first, second = await ended(queue, long.id), await ended(queue, urgent.id)
    assert first.finished_ms < second.finished_ms


async def test_a_job_is_run_next_if_the_interruption_came_too_late(
    queue: RedisQueue,
) -> None:
    session = TooLate()
    long, urgent = a_job(), a_job(budget_ms=6_000)
    async with a_worker(queue, models_of(session), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        first, second = await ended(queue, long.id), await ended(queue, urgent.id)
    assert first.finished_ms < second.finished_ms
    assert second.attempt == 1


async def test_a_picture_with_no_time_to_spare_is_not_interrupted(queue: RedisQueue) -> None:
    session = Breakable()
    long = a_job(budget_ms=22_000, pinned_width=1.0)
    urgent = a_job(budget_ms=6_000, cheapest_ms=2_000)
    async with a_worker(queue, models_of(session), costs_of(network_ms=20_500)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        await asyncio.sleep(SOME_POLLS_S)  # nothing happens
        session.finish()
        await ended(queue, long.id)
    assert session.interrupts == 0


async def test_a_run_is_not_suspended_for_a_job_that_can_wait(queue: RedisQueue) -> None:
    session = Stepwise()
    long, patient = a_job(), a_job(budget_ms=60_000, cheapest_ms=5_000)
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(patient, photograph())
        session.finish()
        first, second = await ended(queue, long.id), await ended(queue, patient.id)
    assert first.finished_ms < second.finished_ms
    assert "yielded" not in first.facts.stages_ms


async def test_a_run_is_suspended_for_a_short_job_that_could_wait(queue: RedisQueue) -> None:
    session = Stepwise()
    long, short = a_job(), a_job(budget_ms=60_000, cheapest_ms=2_000)
    assert short.small
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(short, photograph())
        session.finish()
        first, second = await ended(queue, short.id), await ended(queue, long.id)
    assert first.finished_ms < second.finished_ms


async def test_a_run_is_not_suspended_for_longer_than_it_can_spare(queue: RedisQueue) -> None:
    session = Stepwise()
    long = a_job(budget_ms=30_000)
    urgent = a_job(budget_ms=29_000, cheapest_ms=25_000)
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        session.steps.release()
        await begun(session, 2)
        assert (await queue.submissions.view(urgent.id)).status is JobStatus.QUEUED
        session.finish()
        assert (await ended(queue, long.id)).facts.reason is Reason.WIDEST


async def test_a_cancelled_run_is_not_continued(queue: RedisQueue) -> None:
    session, leases = Stepwise(), ChangedLeases(queue.leases)
    long, urgent, models = a_job(), a_job(budget_ms=6_000), models_of(session, TILE_PIXELS)
    async with a_worker(leases.of(queue), models, costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        await queue.submissions.cancel(long.id)
        await eventually(lambda: LeaseState.CANCELLED in leases.renewals, "a refused renewal")
        session.steps.release()
        await ended(queue, urgent.id)
    assert len(session.widths) == 1


def costs_with_cheap_narrow() -> CostModel:
    """The widest width takes 1000 s, all others next to nothing."""
    costs = costs_of(network_ms=1)
    costs.lines[stage_of(ladder(default_entry())[-1])] = Line(1_000_000, 0, 0)
    return costs


async def test_a_cancelled_run_is_not_suspended_but_ends_at_once(queue: RedisQueue) -> None:
    """So the next job runs alone, and nothing is held back for the cancelled one."""
    session = Stepwise()
    long, urgent = a_job(budget_ms=2_000_000), a_job(budget_ms=700_000)
    models = models_of(session, TILE_PIXELS)
    async with a_worker(queue, models, costs_with_cheap_narrow(), renew_s=60.0):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.cancel(long.id)
        await queue.submissions.submit(urgent, photograph())
        session.finish()
        facts = (await ended(queue, urgent.id)).facts
    assert facts.reason is Reason.SLACK
    assert len(session.widths) == 1 + facts.tiles


async def test_a_run_that_falls_behind_is_finished_narrower(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    session, entry = Stepwise(), default_entry()
    job = a_job(budget_ms=1_200_000)
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs_with_cheap_narrow()):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = 600.0  # the first tile takes longer than all should
        session.finish()
        facts = (await ended(queue, job.id)).facts
    widest, next_best = (w.width for w in entry.widths[:-3:-1])
    assert session.widths == [widest] + [next_best] * (facts.tiles - 1)
    assert (facts.width, facts.reason) == (next_best, Reason.BEHIND)
    expected = expectation_of(features_of(decode(photograph(), 10**6)), 2.0, 0.0)
    assert expected.db(entry, next_best) <= facts.expected_db < expected.db(entry, widest)
    assert facts.expected_db_range == expected.range(facts.expected_db)


def costs_with_a_last_moment() -> CostModel:
    """The widest width takes 500 s, all others 10 s; twice as much is safe."""
    costs = costs_of(network_ms=10_000)
    costs.lines[stage_of(ladder(default_entry())[-1])] = Line(500_000, 0, 0)
    costs.margin = 2.0
    return costs


async def test_a_late_tile_is_left_at_the_last_moment_for_the_cheapest_network(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    session, entry, costs = Breakable(), default_entry(), costs_with_a_last_moment()
    job = a_job(budget_ms=1_200_000)
    async with a_worker(queue, models_of(session), costs):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = 1100.0  # overdue, but 100 s are left, of which 51 are enough
        await asyncio.sleep(SOME_POLLS_S)
        assert session.interrupts == 0
        run_clock.ahead_s = 1155.0
        await begun(session, 2)
        session.finish()
        facts = (await ended(queue, job.id)).facts
    narrowest, widest = entry.widths[0].width, entry.widths[-1].width
    assert session.widths == [widest, narrowest]
    assert (facts.width, facts.reason) == (narrowest, Reason.BEHIND)
    expected = expectation_of(features_of(decode(photograph(), 10**6)), 2.0, 0.0)
    assert facts.expected_db == pytest.approx(expected.db(entry, narrowest), abs=1e-3)
    assert session.interrupts == 1
    assert costs.delay["network"] > 0, "else only runs that end in time would count"


async def test_without_resampling_a_network_rescues_a_run_before_it_is_too_late_for_that(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    """Once the run takes longer than is safe, no time would be left for another network."""
    session, entry = Breakable(), default_entry()
    job = a_job(budget_ms=1_015_000, on_miss=OnMiss.REJECT)
    async with a_worker(queue, models_of(session), costs_with_a_last_moment()):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = 970.0
        await begun(session, 2)
        session.finish()
        facts = (await ended(queue, job.id)).facts
    assert session.widths == [entry.widths[-1].width, entry.widths[0].width]
    assert facts.reason is Reason.BEHIND


async def test_a_run_narrowed_after_a_pause_is_left_alone_until_its_own_safe_end(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    session, entry, costs = Breakable(), default_entry(), costs_of(network_ms=75_000)
    rungs = ladder(entry)
    costs.lines[stage_of(rungs[-1])] = Line(1_000_000, 0, 0)
    costs.lines[stage_of(rungs[-2])] = Line(375_000, 0, 0)
    costs.margin = 1.5
    long, urgent = a_job(budget_ms=1_700_000, on_miss=OnMiss.DEGRADE), a_job(budget_ms=400_000)
    async with a_worker(queue, models_of(session), costs):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        await begun(session, 2)
        run_clock.ahead_s = 1100.0  # 600 s are left, of which the second widest safely takes 563
        session.steps.release()
        await begun(session, 3)
        run_clock.ahead_s = 1600.0  # too little for the cheapest network, were it asked for
        await asyncio.sleep(SOME_POLLS_S)
        interrupts = session.interrupts
        session.finish()
        facts = (await ended(queue, long.id)).facts
    assert session.widths[::2] == [rungs[-1].width, rungs[-2].width]
    assert interrupts == 1, "it was interrupted for the urgent job alone"
    assert (facts.width, facts.reason) == (rungs[-2].width, Reason.BEHIND)


async def test_a_fault_of_watching_is_no_fault_of_a_job(queue: RedisQueue) -> None:
    def fail() -> None:
        raise OSError("no descriptor is left")

    session, decoders = Stepwise(), Decoders(first=Decoders().first, prepare=fail)
    long, urgent = a_job(budget_ms=200_000), a_job(budget_ms=30_000)
    models, costs = models_of(session, TILE_PIXELS), costs_of(network_ms=20_000)
    async with a_worker(queue, models, costs, decoders=decoders):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        session.steps.release()
        await begun(session, 2)
        await asyncio.sleep(SOME_POLLS_S)
        session.finish()
        for job in (urgent, long):
            await ended(queue, job.id)


async def test_a_late_picture_is_resampled_where_no_network_is_in_time(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    """Its second tile is left for resampling just before that would be late as well."""
    session, entry, costs = Breakable(), default_entry(), costs_with_a_last_moment()
    costs.lines[stage_of(FLOOR)] = Line(2_000, 0, 0)
    job = a_job(budget_ms=1_200_000, on_miss=OnMiss.DEGRADE)
    async with a_worker(queue, models_of(session), costs):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = 1155.0
        await begun(session, 2)
        run_clock.ahead_s = 1190.0  # 10 s are left, of which 5 are enough
        await asyncio.sleep(SOME_POLLS_S)
        assert session.interrupts == 1
        run_clock.ahead_s = 1196.0
        outcome = await ended(queue, job.id)
    assert session.widths == [entry.widths[-1].width, entry.widths[0].width]
    assert session.interrupts == 2
    facts = outcome.facts
    assert (facts.model, facts.width, facts.reason) == (FLOOR.model, 0.0, Reason.BEHIND)
    picture = decode(photograph(), 10**6)
    resampled_db = expectation_of(features_of(picture), 2.0, 0.0).resampled_db
    assert facts.expected_db == pytest.approx(resampled_db, abs=1e-3)
    made = decode(await queue.submissions.result(outcome), 10**6)
    larger = enlarge(picture.pixels, 2 * picture.height, 2 * picture.width, lambda part: None)
    assert np.array_equal(made.pixels.samples, larger.samples)


@pytest.mark.parametrize(
    ("ahead_s", "wishes"),
    [(1195.0, {"on_miss": OnMiss.REJECT}), (1184.0, {"min_width": 1.0})],
    ids=["too late for any network", "no other width is accepted"],
)
async def test_a_late_tile_is_finished_where_nothing_cheaper_is_in_time(
    queue: RedisQueue, run_clock: RunClock, ahead_s: float, wishes: dict[str, Any]
) -> None:
    session = Breakable()
    job = a_job(budget_ms=1_200_000, **wishes)
    async with a_worker(queue, models_of(session), costs_with_a_last_moment()):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = ahead_s
        await asyncio.sleep(SOME_POLLS_S)
        session.finish()
        facts = (await ended(queue, job.id)).facts
    assert facts.width == 1.0
    assert session.interrupts == 0


async def test_a_pinned_width_is_kept_to_the_end(queue: RedisQueue, run_clock: RunClock) -> None:
    session, entry = Stepwise(), default_entry()
    job = a_job(budget_ms=1_200_000, pinned_width=1.0)
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs_with_cheap_narrow()):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = 600.0
        session.finish()
        facts = (await ended(queue, job.id)).facts
    assert set(session.widths) == {entry.widths[-1].width}
    assert facts.reason is Reason.PINNED


async def test_a_run_finished_narrower_updates_the_costs_of_neither_width(
    queue: RedisQueue, run_clock: RunClock
) -> None:
    session, costs = Stepwise(), costs_with_cheap_narrow()
    job = a_job(budget_ms=1_200_000, on_miss=OnMiss.DEGRADE)
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs):
        await queue.submissions.submit(job, photograph())
        await begun(session)
        run_clock.ahead_s = 600.0
        session.finish()
        await ended(queue, job.id)
    assert "network" not in costs.slowdown
    assert costs.margin == 1.0


@pytest.mark.parametrize("reported_end", [1990.0, 2000.0, 2010.0])
def test_a_suspended_run_counts_as_waiting(reported_end: float) -> None:
    first, last = Group(1200.0, 5.0, 9.0), Group(1900.0, 5.0, 9.0)
    backlog = Backlog(1000.0, (first, last), (1500.0, reported_end))
    alone = Load.of(backlog, 2, free=1)
    assert (alone.workers, alone.running) == (3, (1500.0, reported_end))
    suspended = SuspendedRun(
        2000.0, spare_ms=400.0, cheapest_ms=40.0, expected_ms=30.0, held_bytes=0
    )
    beside = Load.of(suspended.waiting_in(backlog), 2, free=1)
    assert (beside.workers, beside.running) == (2, (1500.0,))
    assert beside.waiting == (first, Group(1400.0, 40.0, 30.0, last_ms=40.0), last)


async def test_a_run_that_preempts_another_knows_what_that_one_can_spare(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free time of other workers would not help: none of them can go on with that picture."""
    session, loads = Stepwise(), list[Load]()

    def watched(*arguments: Any, **options: Any) -> Execution:
        loads.append(next(a for a in arguments if isinstance(a, Load)))
        return execute(*arguments, **options)

    monkeypatch.setattr("workers.worker.execute", watched)
    long, urgent = a_job(budget_ms=200_000), a_job(budget_ms=30_000)
    async with a_worker(queue, models_of(session, TILE_PIXELS), costs_of(network_ms=20_000)):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        session.finish()
        for job in (urgent, long):
            await ended(queue, job.id)
    assert loads[0].spare_ms == math.inf
    assert 0 < loads[1].spare_ms < long.budget_ms


async def test_a_stopped_run_that_is_suspended_does_not_hang(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog does not time it while its thread waits for a more urgent run."""
    monkeypatch.setattr("workers.watchdog.POLL_S", 0.01)
    session, leases, ends = Stepwise(), ChangedLeases(queue.leases), list[int]()
    watchdog = Watchdog(0.2, queue.registry.count_stuck_worker, ends.append)
    long, urgent = a_job(), a_job(budget_ms=6_000, pinned_width=1.0)  # runs a network
    models, costs = models_of(session, TILE_PIXELS), costs_of(network_ms=20_000)
    async with a_worker(leases.of(queue), models, costs, watchdog=watchdog):
        await queue.submissions.submit(long, photograph())
        await begun(session)
        await queue.submissions.submit(urgent, photograph())
        session.steps.release()
        await begun(session, 2)
        assert (await queue.submissions.view(urgent.id)).status is JobStatus.RUNNING
        await queue.submissions.cancel(long.id)
        await eventually(lambda: LeaseState.CANCELLED in leases.renewals, "a refused renewal")
        await asyncio.sleep(1.0)  # several times as long as a run that hangs may take
        assert ends == []
        session.finish()
        await ended(queue, urgent.id)
    assert ends == []
