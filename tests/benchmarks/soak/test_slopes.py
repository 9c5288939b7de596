"""The slope of resident memory under load."""

from __future__ import annotations

import random

import pytest

from benchmarks.soak.plan import Plan
from benchmarks.soak.processes import ProcessSample, Role
from benchmarks.soak.samples import Moment
from benchmarks.soak.slopes import Slope, slopes_of

PLAN = Plan(minutes=100)


def moments(percent: float, role: str = Role.WORKER) -> list[Moment[ProcessSample]]:
    """400 MB that are there from the first rest on, and grow by so many percent an hour; under load
    five times as much in every fifth sample, in rests half."""
    drawn = random.Random(7)
    found = []
    for number in range(600):
        at_s = 10.0 * number
        megabytes = 400 * (1 + percent / 100 * (at_s - PLAN.quarter_s) / 3600)
        megabytes += drawn.uniform(-2, 2)
        megabytes *= min(1.0, at_s / (PLAN.quarter_s - PLAN.rest_s))
        phase = PLAN.phase_at(at_s)
        megabytes *= {"load": 5 if number % 5 == 0 else 1}.get(phase, 0.5)
        sample = ProcessSample(role, 7, int(1e6 * megabytes), 0, 0, 0, 0, 1, 0.0)
        found.append(Moment(at_s, phase, sample))
    return found


@pytest.mark.parametrize("percent", [0.0, 3.0, -3.0])
def test_growth_is_found_among_pictures_that_are_being_made(percent: float) -> None:
    under_load, at_rest = slopes_of(PLAN, moments(percent))
    for slope, precision in ((under_load, 0.3), (at_rest, 0.5)):
        assert slope.percent == pytest.approx(percent, abs=precision)
        assert slope.low <= slope.percent <= slope.high
        assert slope.broken is (percent > 1)
    assert under_load.median_mb == pytest.approx(400, rel=0.05)
    assert at_rest.median_mb == pytest.approx(200, rel=0.05)


def test_growth_under_load_that_may_be_none_is_none() -> None:
    assert not Slope("worker", "load", 9, 1.0, 7.0, low=-3.0, high=15.0).broken
    assert Slope("worker", "load", 9, 1.0, 7.0, low=1.1, high=15.0).broken
    assert Slope("worker", "settled", 9, 1.0, 1.1, low=-3.0, high=15.0).broken


def test_processes_of_one_role_count_together() -> None:
    one = moments(0.0, Role.DECODER)
    slope, _ = slopes_of(PLAN, [*one, *one])
    assert slope.median_mb == pytest.approx(800, rel=0.02)


def test_a_run_within_its_first_quarter_has_no_slope_and_one_rest_has_none() -> None:
    early = [moment for moment in moments(0.0) if moment.at_s < PLAN.quarter_s + 30]
    assert slopes_of(PLAN, early) == []


def test_a_slope_says_what_grows() -> None:
    slope = Slope("worker", "settled", 9, 1.0, 2.345, 1, 3)
    assert str(slope) == "memory of worker, at rest: +2.35 % an hour"
