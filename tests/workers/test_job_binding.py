"""What is seen of a picture: what its caller is told, and what a least quality leaves."""

from __future__ import annotations

import numpy as np
import pytest

from images.decode import decode
from images.picture import Picture, Raster
from jobs.errors import QualityInfeasible
from jobs.job import JobStatus, OnMiss
from jobs.redis_queue import RedisQueue
from scheduling.backlog import Load
from scheduling.cost_model import CostModel, Line, stage_of
from scheduling.rungs import FLOOR, ladder
from tests.workers.workbench import (
    Gated,
    a_job,
    a_worker,
    costs_of,
    default_entry,
    photograph,
    zoo_of,
)
from workers.job_binding import JobBinding

ALONE = Load(now_ms=0.0, workers=1)
PICTURE = decode(photograph(), 10**6)
FLAT = Picture(Raster(np.full((40, 48, 3), 90, np.uint8)))


def rising_costs() -> CostModel:
    """Each width takes 10 ms more than the one before."""
    costs = costs_of(0)
    for number, rung in enumerate(ladder(default_entry()), 1):
        costs.lines[stage_of(rung)] = Line(10.0 * number, 0, 0)
    return costs


def bound(slack_ms: float = 1000.0, **changes: object) -> JobBinding:
    return JobBinding(a_job(**changes), zoo_of(Gated()), rising_costs(), slack_ms, ALONE)


def expected(width: float) -> float:
    """What is expected of the photograph at a width."""
    looked = bound(pinned_width=width)
    looked.refine(PICTURE)
    db = looked.option.db
    assert db is not None
    return db


def test_a_caller_is_told_what_is_expected_of_this_picture() -> None:
    looked = bound()
    mean = looked.option
    looked.refine(PICTURE)
    own = looked.option
    assert (own.rung, own.expected_ms) == (mean.rung, mean.expected_ms)
    assert own.db != mean.db
    assert looked.expectation is not None
    assert own.db == looked.expectation.db(default_entry(), own.rung.width)
    least, most = looked.expected_range(own.db) or (0, 0)
    assert least < (own.db or 0) < most


def test_so_is_one_whose_picture_is_resampled() -> None:
    looked = bound(slack_ms=5.0)
    looked.refine(PICTURE)
    option = looked.option
    assert option.rung == FLOOR
    assert looked.expectation is not None
    assert option.db == looked.expectation.resampled_db


def test_a_quality_that_an_easy_picture_reaches_anyhow_narrows_nothing_but_allows_it() -> None:
    """In the mean only the widest reaches it, and there is no time for that."""
    widths = [entry.width for entry in default_entry().widths]
    most = max(default_entry().expected_db(width, 2.0) or 0 for width in widths)
    hurried = bound(slack_ms=25.0, min_db=most, on_miss=OnMiss.DEGRADE)
    assert hurried.option.rung.width == widths[-1]
    hurried.refine(FLAT)
    assert hurried.option.safe_ms <= 25.0


def test_a_quality_that_only_wider_networks_reach_for_this_picture_widens() -> None:
    widths = [entry.width for entry in default_entry().widths]
    wanted = (expected(widths[-2]) + expected(widths[-1])) / 2
    looked = bound(slack_ms=25.0, min_db=wanted)
    looked.refine(PICTURE)
    assert looked.option.rung.width == widths[-1]


def test_what_is_expected_of_no_network_is_told_with_what_is() -> None:
    most = expected(default_entry().widths[-1].width)
    looked = bound(min_db=most + 1)
    with pytest.raises(QualityInfeasible) as caught:
        looked.refine(PICTURE)
    assert caught.value.details == {"largest_feasible_db": most}
    bound(min_db=most).refine(PICTURE)


async def test_a_picture_that_cannot_become_so_good_fails_without_a_run(queue: RedisQueue) -> None:
    session = Gated()
    session.gate.set()
    job = a_job(min_db=expected(1.0) + 0.5)
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, zoo_of(session)):
        view = await queue.submissions.wait(job.id, 20)
    assert (view.status, view.error_code) == (JobStatus.FAILED, "quality_infeasible")
    assert view.error_details["largest_feasible_db"] == expected(1.0)
    assert session.tiles == 0


@pytest.mark.parametrize("tile_pixels", [200, 10**6])
async def test_tiles_or_a_whole_are_expected_to_be_the_same(
    queue: RedisQueue, tile_pixels: int
) -> None:
    session = Gated()
    session.gate.set()
    job = a_job()
    await queue.submissions.submit(job, photograph())
    async with a_worker(queue, zoo_of(session, tile_pixels)):
        facts = (await queue.submissions.wait(job.id, 20)).facts
    assert facts is not None
    assert facts.expected_db == expected(facts.width)
    assert facts.expected_db_range is not None
    least, most = facts.expected_db_range
    assert least < facts.expected_db < most
