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
    """400 MB that grow by so many percent an hour from the end of the first quarter on, double in
    the first quarter, are five times as much in every fifth sample, and half in rests."""
    drawn = random.Random(7)
    found = []
    for number in range(600):
        at_s = 10.0 * number
        megabytes = 400 * (1 + percent / 100 * (at_s - PLAN.quarter_s) / 3600)
        megabytes += drawn.uniform(-2, 2)
        if at_s < PLAN.quarter_s:
            megabytes *= at_s / PLAN.quarter_s
        phase = PLAN.phase_at(at_s)
        megabytes *= {"load": 5 if number % 5 == 0 else 1}.get(phase, 0.5)
        sample = ProcessSample(role, 7, int(1e6 * megabytes), 0, 0, 0, 0, 1, 0.0)
        found.append(Moment(at_s, phase, sample))
    return found


@pytest.mark.parametrize("percent", [0.0, 3.0, -3.0])
def test_growth_is_found_among_pictures_that_are_being_made(percent: float) -> None:
    (slope,) = slopes_of(PLAN, moments(percent))
    assert slope.percent == pytest.approx(percent, abs=0.3)
    assert slope.low <= slope.percent <= slope.high
    assert slope.broken is (percent > 1)


def test_processes_of_one_role_count_together() -> None:
    one = moments(0.0, Role.DECODER)
    (slope,) = slopes_of(PLAN, [*one, *one])
    assert slope.median_mb == pytest.approx(800, rel=0.02)


def test_a_run_within_its_first_quarter_has_no_slope() -> None:
    early = [moment for moment in moments(0.0) if moment.at_s < PLAN.quarter_s + 50]
    assert slopes_of(PLAN, early) == []


def test_a_slope_says_what_grows() -> None:
    assert str(Slope("worker", 9, 1.0, 2.345, 1, 3)) == "memory of worker grows by 2.35 % an hour"
