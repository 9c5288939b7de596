"""Binding by the decoded picture: its expected quality, and the options that `min_db` leaves."""

from __future__ import annotations

import numpy as np
import pytest

from images.decode import decode
from images.picture import Picture, Raster
from jobs.errors import QualityInfeasible
from jobs.job import JobStatus, OnMiss
from jobs.redis_queue import RedisQueue
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.rungs import FLOOR, ladder
from scheduling.stages import stage_of
from tests.workers.workbench import (
    Gated,
    a_job,
    a_worker,
    costs_of,
    default_entry,
    models_of,
    photograph,
)
from workers.binding import Binding

ALONE = Load(now_ms=0.0, workers=1)
PICTURE = decode(photograph(), 10**6)
FLAT = Picture(Raster(np.full((40, 48, 3), 90, np.uint8)))


def rising_costs() -> CostModel:
    """Each width takes 10 ms more than the one before."""
    costs = costs_of(0)
    for number, rung in enumerate(ladder(default_entry()), 1):
        costs.lines[stage_of(rung)] = Line(10.0 * number, 0, 0)
    return costs


def bound(slack_ms: float = 1000.0, **changes: object) -> Binding:
    return Binding(a_job(**changes), models_of(Gated()), rising_costs(), slack_ms, ALONE)


def expected(width: float) -> float:
    """The expected quality of the photograph at a width."""
    bound_job = bound(pinned_width=width)
    bound_job.refine(PICTURE)
    db = bound_job.option.db
    assert db is not None
    return db


def test_the_expected_quality_is_that_of_the_picture() -> None:
    bound_job = bound()
    mean = bound_job.option
    bound_job.refine(PICTURE)
    own = bound_job.option
    assert (own.rung, own.expected_ms) == (mean.rung, mean.expected_ms)
    assert own.db != mean.db
    assert bound_job.expectation is not None
    assert own.db == bound_job.expectation.db(default_entry(), own.rung.width)
    least, most = bound_job.expected_range(own.db) or (0, 0)
    assert least < (own.db or 0) < most


def test_the_expected_quality_of_resampling_is_that_of_the_picture() -> None:
    bound_job = bound(slack_ms=5.0)
    bound_job.refine(PICTURE)
    option = bound_job.option
    assert option.rung == FLOOR
    assert bound_job.expectation is not None
    assert option.db == bound_job.expectation.resampled_db


def test_an_easy_picture_with_min_db_may_run_narrower() -> None:
    """By the mean only the widest reaches it, and there is no time for that."""
    widths = [entry.width for entry in default_entry().widths]
    most = max(default_entry().expected_db(width, 2.0) or 0 for width in widths)
    hurried = bound(slack_ms=25.0, min_db=most, on_miss=OnMiss.DEGRADE)
    assert hurried.option.rung.width == widths[-1]
    hurried.refine(FLAT)
    assert hurried.option.safe_ms <= 25.0


def test_a_hard_picture_with_min_db_runs_wider() -> None:
    widths = [entry.width for entry in default_entry().widths]
    wanted = (expected(widths[-2]) + expected(widths[-1])) / 2
    bound_job = bound(slack_ms=25.0, min_db=wanted)
    bound_job.refine(PICTURE)
    assert bound_job.option.rung.width == widths[-1]


def test_an_infeasible_min_db_is_refused_with_the_largest_feasible() -> None:
    most = expected(default_entry().widths[-1].width)
    bound_job = bound(min_db=most + 1)
    with pytest.raises(QualityInfeasible) as caught:
        bound_job.refine(PICTURE)
    assert caught.value.details == {"largest_feasible_db": most}
    bound(min_db=most).refine(PICTURE)


async def test_an_infeasible_min_db_fails_without_a_run(queue: RedisQueue) -> None:
    session = Gated()
    session.gate.set()
    job = a_job(min_db=expected(1.0) + 0.5)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(session)):
        view = await queue.submissions.wait(job.id, 20)
    assert (view.status, view.error_code) == (JobStatus.FAILED, "quality_infeasible")
    assert view.error_details["largest_feasible_db"] == expected(1.0)
    assert session.tiles == 0


@pytest.mark.parametrize("tile_pixels", [200, 10**6])
async def test_expected_quality_does_not_depend_on_tiling(
    queue: RedisQueue, tile_pixels: int
) -> None:
    session = Gated()
    session.gate.set()
    job = a_job()
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, models_of(session, tile_pixels)):
        facts = (await queue.submissions.wait(job.id, 20)).facts
    assert facts is not None
    assert facts.expected_db == expected(facts.width)
    assert facts.expected_db_range is not None
    least, most = facts.expected_db_range
    assert least < facts.expected_db < most
