"""The policy's rules, as properties over any ladder, cost and slack."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.job import OnMiss, Reason
from models.catalog import read_catalog
from scheduling.cost_model import CostModel, Line, stage_of
from scheduling.policy import admit, bind
from scheduling.rungs import FLOOR, Rung, ladder
from scheduling.work import Work

RUNGS = tuple(Rung("anysr-s", w) for w in (0.25, 0.5, 0.75, 1.0))
WORK = Work(65_536, 262_144, "jpeg")


def costs_of(*network_ms: float, floor_ms: float = 1.0) -> CostModel:
    """Costs with nothing but a network (or resampling) time."""
    lines = {stage_of(r): Line(ms, 0, 0) for r, ms in zip(RUNGS, network_ms, strict=True)}
    lines |= {stage_of(FLOOR): Line(floor_ms, 0, 0)}
    lines |= {"decode": Line(0, 0, 0), "encode:jpeg": Line(0, 0, 0)}
    return CostModel(lines)


COSTS = costs_of(10, 20, 30, 40)
ms = st.floats(0.01, 1000)
some_costs = st.tuples(ms, ms, ms, ms).map(lambda t: costs_of(*sorted(t)))


@pytest.mark.parametrize(
    ("slack", "width", "reason"),
    [
        (100, 1.0, Reason.WIDEST),
        (40, 1.0, Reason.WIDEST),
        (39.9, 0.75, Reason.SLACK),
        (10, 0.25, Reason.SLACK),
        (9.9, 0.0, Reason.FLOOR),
        (-5, 0.0, Reason.FLOOR),
    ],
)
def test_the_widest_rung_that_fits_runs(slack, width, reason):
    decision = bind(RUNGS, COSTS, WORK, slack)
    assert decision is not None
    assert (decision.rung.width, decision.reason) == (width, reason)
    assert decision.predicted_ms == COSTS.predict(decision.rung, WORK)


@given(some_costs, ms, st.sampled_from(OnMiss))
def test_never_wider_than_the_slack_allows_and_never_narrower_than_it_must_be(
    costs, slack, on_miss
):
    decision = bind(RUNGS, costs, WORK, slack, on_miss=on_miss)
    fitting = [r for r in RUNGS if costs.predict(r, WORK) <= slack]
    if fitting:
        assert decision is not None
        assert decision.rung == fitting[-1]
    elif on_miss is OnMiss.REJECT:
        assert decision is None
    else:
        assert decision is not None
        assert decision.reason in (Reason.FLOOR, Reason.SLACK)


@given(some_costs, ms, ms)
def test_more_slack_never_means_narrower(costs, a, b):
    less, more = sorted((a, b))
    narrow, wide = (bind(RUNGS, costs, WORK, slack) for slack in (less, more))
    assert narrow is not None
    assert wide is not None
    assert narrow.rung.width <= wide.rung.width


def test_a_pinned_width_is_honoured_late_or_not():
    decision = bind(RUNGS, COSTS, WORK, 5, pinned=RUNGS[2])
    assert decision is not None
    assert (decision.rung, decision.reason) == (RUNGS[2], Reason.PINNED)


def test_a_pinned_width_that_cannot_meet_its_deadline_is_not_run_for_reject():
    assert bind(RUNGS, COSTS, WORK, 5, pinned=RUNGS[2], on_miss=OnMiss.REJECT) is None


@given(some_costs, ms, st.sampled_from(OnMiss), st.sampled_from([None, *RUNGS]))
def test_what_is_admitted_can_be_bound_at_once_and_what_is_refused_cannot(
    costs, budget, on_miss, pinned
):
    admission = admit(RUNGS, costs, WORK, budget, pinned, on_miss)
    decision = bind(RUNGS, costs, WORK, budget, pinned, on_miss)
    meets = decision is not None and decision.predicted_ms <= budget
    assert admission.feasible == meets


@given(some_costs, ms, st.sampled_from(OnMiss), ms)
def test_the_smallest_feasible_budget_is_feasible_and_nothing_below_it_is(
    costs, budget, on_miss, overhead
):
    def feasible(budget_ms):
        return admit(RUNGS, costs, WORK, budget_ms, None, on_miss, overhead).feasible

    smallest = admit(RUNGS, costs, WORK, budget, None, on_miss, overhead).smallest_ms
    assert feasible(smallest)
    assert not feasible(smallest * 0.999)


def test_reject_and_a_pin_ask_for_a_network():
    assert admit(RUNGS, COSTS, WORK, 5).smallest_ms == 1
    assert admit(RUNGS, COSTS, WORK, 5, None, OnMiss.REJECT).smallest_ms == 10
    assert admit(RUNGS, COSTS, WORK, 5, RUNGS[1]).smallest_ms == 20


def test_the_ladder_of_a_model_rises_and_leaves_the_floor_out():
    rungs = ladder(read_catalog().get("anysr-s"))
    widths = [rung.width for rung in rungs]
    assert widths == sorted(widths)
    assert widths[-1] == 1.0
    assert len(widths) >= 4
    assert FLOOR not in rungs
