"""The quarters of a run and their rests."""

from __future__ import annotations

import pytest

from benchmarks.soak.plan import CACHE_S, JOB_TTL_S, RESULT_TTL_S, Phase, Plan

PLAN = Plan(minutes=100)


def test_each_quarter_ends_with_a_rest_and_each_rest_with_what_is_counted() -> None:
    for quarter in range(4):
        end_s = 1500.0 * (quarter + 1)
        assert PLAN.phase_at(end_s - 1500) is Phase.LOAD
        assert PLAN.phase_at(end_s - 151) is Phase.LOAD
        assert PLAN.phase_at(end_s - 149) is Phase.REST
        assert PLAN.phase_at(end_s - 29) is Phase.SETTLED
        assert PLAN.quarter_at(end_s - 1) == quarter


def test_the_moment_of_the_end_belongs_to_the_last_rest() -> None:
    assert (PLAN.quarter_at(PLAN.seconds), PLAN.phase_at(PLAN.seconds)) == (3, Phase.SETTLED)


def test_everything_expires_within_a_rest_before_it_is_counted() -> None:
    longest = max(RESULT_TTL_S, JOB_TTL_S, CACHE_S)
    assert longest < Plan(minutes=100).rest_s - Plan(minutes=100).settled_s


def test_a_run_that_is_all_rest_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 10 minutes"):
        Plan(minutes=10)
