"""The policy's rules, as properties over any options, slack and load."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobs.backlog import Group
from jobs.job import Reason
from scheduling.load import SLOT_MS, Load, run_limits
from scheduling.mix import Mix
from scheduling.options import Option, narrowest_network
from scheduling.policy import (
    ANTICIPATION,
    PATIENCE,
    SHARE,
    admit,
    bind,
    cheapest,
    go_on,
    late_ms,
    spare_ms,
)
from scheduling.rungs import FLOOR, Rung
from scheduling.worth import Worth
from tests.scheduling.test_load import NOW, loads

MARGIN = 1.25


def ladder(*network_ms: float, cheapest_ms: float | None = 1.0) -> tuple[Option, ...]:
    """Options with these expected costs, behind the floor if it has one."""
    networks = [
        Option(Rung("m", (n + 1) / len(network_ms)), ms, ms * MARGIN, 30 + n / 10)
        for n, ms in enumerate(network_ms)
    ]
    floor = []
    if cheapest_ms is not None:
        safe_ms = cheapest_ms * MARGIN
        floor = [Option(FLOOR, cheapest_ms, safe_ms, 27.0, rescue_ms=1.5 * safe_ms)]
    return tuple(floor + networks)


LADDER = ladder(10, 20, 30, 40)
ALONE = Load(NOW, 1)
ms = st.floats(0.5, 1000)
ladders = st.builds(
    lambda costs, floor: ladder(*sorted(costs), cheapest_ms=min(costs) * 0.1 if floor else None),
    st.lists(ms, min_size=1, max_size=6, unique=True),
    st.booleans(),
)


mixes = st.lists(ladders, max_size=5).map(lambda pictures: mix_of(*pictures))


busy = st.builds(lambda load, mix: replace(load, mix=mix), loads(), mixes)
"""Any load, with what the worker knows of recent pictures."""


def mix_of(*pictures: tuple[Option, ...]) -> Mix:
    """The mix after these pictures."""
    mix = Mix()
    for options in pictures:
        mix.add(options)
    return mix


def needed(option: Option, options: tuple[Option, ...]) -> float:
    """The slack for an option: its safe cost, and behind resampling also the time to be rescued by
    it; for the narrowest network there its expected cost and the safe cost of resampling."""
    floor = options[0]
    if floor.rung != FLOOR or option is floor:
        return option.safe_ms
    if option is narrowest_network(options):
        return min(option.safe_ms, option.expected_ms + floor.safe_ms)
    return option.safe_ms + floor.rescue_ms


@pytest.mark.parametrize(
    ("slack", "width", "reason"),
    [
        (1000, 1.0, Reason.WIDEST),
        (51.9, 1.0, Reason.WIDEST),  # safe in 50; 1.875 are left to resample it in
        (51.8, 0.75, Reason.SLACK),
        (11.3, 0.25, Reason.SLACK),  # expected after 10; 1.25 are left to resample it in
        (11.2, 0.0, Reason.FLOOR),
        (1.0, 0.0, Reason.FLOOR),  # the margin of an admitted job may be used up
    ],
)
def test_the_best_option_that_fits_runs_alone(slack, width, reason):
    decision = bind(LADDER, slack, ALONE)
    assert decision is not None
    assert (decision.option.rung.width, decision.reason) == (width, reason)


def test_a_job_not_expected_in_time_is_not_bound():
    assert bind(LADDER, 0.9, ALONE) is None
    assert cheapest(LADDER).reason is Reason.FLOOR


def test_a_job_before_a_full_queue_is_narrowed_with_reason_backlog():
    waiting = [Group(NOW + 100.0, 50.0, 80.0)]
    decision = bind(LADDER, 1000, Load(NOW, 1, (), waiting))
    assert decision is not None
    assert decision.reason is Reason.BACKLOG
    assert FLOOR != decision.option.rung != LADDER[-1].rung


def test_a_pinned_width_has_reason_pinned():
    options = (LADDER[3],)
    decision = bind(options, 1000, ALONE, pinned=True)
    assert decision is not None
    assert (decision.option, decision.reason) == (LADDER[3], Reason.PINNED)
    assert cheapest(options, pinned=True).reason is Reason.PINNED


@given(ladders, ms, busy)
def test_never_wider_than_the_slack_allows(options, slack, load):
    decision = bind(options, slack, load)
    if decision is None:
        assert options[0].expected_ms > slack
    elif decision.option is options[0]:
        assert decision.option.expected_ms <= slack
    else:
        assert needed(decision.option, options) <= slack


@given(ladders, ms, busy)
def test_never_wider_than_the_waiting_jobs_or_the_share_allow(options, slack, load):
    decision = bind(options, slack, load)
    assume(decision is not None and decision.option is not options[0])
    assert decision is not None
    chosen, limits = decision.option, run_limits(load)
    narrowest = chosen is narrowest_network(options)
    assert (chosen.expected_ms if narrowest else chosen.safe_ms) <= limits.longest_ms
    if not narrowest:
        stretch = stretch_beside(chosen, options, load)
        assert chosen.expected_ms <= limits.longest_at(stretch, SHARE)
        patient = PATIENCE * load.demand_slack_ms
        sustained = load.demand * stretch <= ANTICIPATION * load.workers
        assert sustained or chosen.expected_ms <= patient


def stretch_beside(chosen: Option, options: tuple[Option, ...], load: Load) -> float:
    """By how much all other work grows where its pictures are as wide as is worth the price of the
    chosen one."""
    networks = options[options.index(narrowest_network(options)) :]
    worth = Worth.of(networks)
    return (load.mix or worth).stretch_at(worth.gain_of(chosen))


@given(ladders, ms, busy, st.integers(0, 80), ms, ms)
def test_more_work_behind_never_means_wider(options, slack, load, slot, cheapest_ms, network_ms):
    start = NOW + slot * SLOT_MS
    groups = {g.latest_start_ms: g for g in load.waiting}
    known = groups.get(start, Group(start, 0.0, 0.0))
    sums = known.cheapest_ms + cheapest_ms, known.narrowest_ms + network_ms
    groups[start] = Group(start, *sums, known.last_ms)
    more = replace(load, waiting=sorted(groups.values()), demand=load.demand + 0.1)
    free, pressed = bind(options, slack, load), bind(options, slack, more)
    assert (free is None) == (pressed is None)
    if free is not None and pressed is not None:
        assert pressed.option.safe_ms <= free.option.safe_ms


@given(ladders, ms, ms, busy)
def test_more_slack_never_means_narrower(options, a, b, load):
    less, more = (bind(options, slack, load) for slack in sorted((a, b)))
    if less is not None:
        assert more is not None
        assert more.option.safe_ms >= less.option.safe_ms


@given(ladders, ms, busy, st.booleans())
def test_a_decision_is_a_function_of_its_arguments(options, slack, load, pinned):
    same = Load(load.now_ms, load.workers, tuple(load.running), tuple(load.waiting))
    expected = {"demand": load.demand, "demand_slack_ms": load.demand_slack_ms}
    same = replace(same, **expected, mix=load.mix)
    assert bind(options, slack, load, pinned) == bind(options, slack, same, pinned)
    assert late_ms(options, slack, load) == late_ms(options, slack, same)


@given(ladders, ms, busy)
def test_the_reason_names_the_limit_that_applied(options, slack, load):
    decision = bind(options, slack, load)
    assume(decision is not None)
    assert decision is not None
    alone = bind(options, slack, ALONE)
    assert alone is not None
    if decision.reason is Reason.WIDEST:
        assert decision.option is options[-1]
    if decision.reason in (Reason.BACKLOG, Reason.DEMAND):
        assert decision.option.safe_ms < alone.option.safe_ms
    if decision.reason is Reason.BACKLOG:
        assert load.waiting
    if decision.reason is Reason.DEMAND:
        assert load.demand > 0
    if decision.reason is Reason.SLACK:
        assert decision.option is alone.option
    assert (decision.reason is Reason.FLOOR) == (decision.option.rung == FLOOR)


@given(ladders, ms, st.floats(0, 100))
def test_the_smallest_feasible_budget_is_feasible_and_nothing_below_it_is(
    options, budget, overhead
):
    smallest = admit(options, budget, overhead).smallest_ms
    assert admit(options, smallest + 1e-6, overhead).feasible
    assert not admit(options, smallest * 0.999, overhead).feasible


@given(ladders, ms, busy)
def test_what_is_admitted_could_be_bound_at_once(options, budget, load):
    if admit(options, budget).feasible:
        assert bind(options, budget, load) is not None
    else:
        assert options[0].safe_ms > budget


@given(ladders, st.floats(100, 5000), loads())
def test_an_admitted_job_leaves_later_jobs_feasible(options, budget, load):
    own = options[0]
    start = NOW + budget - own.safe_ms
    assume(run_limits(load, from_ms=start).longest_ms >= 0)
    assume(admit(options, budget).feasible and late_ms(options, budget, load) == 0)
    slot = start // SLOT_MS * SLOT_MS
    groups = {g.latest_start_ms: g for g in load.waiting}
    known = groups.get(slot, Group(slot, 0.0, 0.0))
    groups[slot] = Group(slot, known.cheapest_ms + own.safe_ms, known.narrowest_ms)
    joined = replace(load, waiting=sorted(groups.values()))
    assert run_limits(joined, from_ms=start).longest_ms >= -1e-6


@given(st.floats(200, 5000), st.integers(1, 6))
def test_late_ms_is_the_extra_budget_that_would_be_enough(budget, workers):
    load = Load(NOW, workers, (), [Group(NOW, 3000.0 * workers, 3000.0 * workers)])
    late = late_ms(LADDER, budget, load)
    assume(late > 0)
    assert late_ms(LADDER, budget + late + 1e-6, load) == 0
    assert math.isfinite(late)


@given(ladders, st.floats(-100, 5000), st.one_of(ms, st.just(math.inf)))
def test_a_picture_goes_on_by_the_widest_that_can_still_be_rescued(options, slack, rescue):
    def in_time(option):
        return option.safe_ms <= slack or option.expected_ms + rescue <= slack

    chosen = go_on(options, slack, rescue)
    if chosen is None:
        assert options[0].expected_ms > slack
        assert not any(in_time(option) for option in options)
        return
    assert chosen.expected_ms <= slack
    assert in_time(chosen) or chosen is options[0]
    assert not any(in_time(wider) for wider in options[options.index(chosen) + 1 :])


@given(ladders, st.floats(-100, 5000), st.floats(0, 5000), ms)
def test_a_picture_suspended_for_its_spare_time_is_still_in_time(options, slack, part, rescue):
    spare = spare_ms(options, slack)
    assert spare >= 0
    if spare > 0:
        left_ms = slack - min(part, spare)
        chosen = go_on(options, left_ms + 1e-6, rescue)
        assert chosen is not None
        assert chosen.expected_ms <= left_ms + 1e-6


@given(ladders, ms, st.integers(1, 8), st.lists(ms, max_size=8))
def test_the_best_in_time_runs_without_backlog_and_demand(options, slack, workers, running):
    load = Load(NOW, workers, [NOW + end for end in running[: workers - 1]])
    decision = bind(options, slack, load)
    in_time = [option for option in options if needed(option, options) <= slack]
    if in_time:
        assert decision is not None
        assert decision.option is in_time[-1]
        assert decision.reason not in (Reason.BACKLOG, Reason.DEMAND)


@given(ladders, ms)
def test_where_no_run_can_be_interrupted_no_time_is_kept_for_that(options, slack):
    decision = bind(options, slack, replace(ALONE, rescues=False))
    safe = [option for option in options if option.safe_ms <= slack]
    if safe:
        assert decision is not None
        assert decision.option is safe[-1]


@given(ladders, ms, busy, ms)
def test_a_run_keeps_its_worker_no_longer_than_the_suspended_one_can_spare(
    options, slack, load, spare
):
    decision = bind(options, slack, replace(load, spare_ms=spare))
    if decision is None:
        return
    network, chosen = narrowest_network(options), decision.option
    run_ms = chosen.expected_ms if chosen is network else chosen.safe_ms
    in_time = [option for option in options if needed(option, options) <= slack]
    assert run_ms <= spare or chosen is (in_time or options)[0]


@given(ladders, ms, busy)
def test_incoming_work_that_can_wait_does_not_narrow_a_run(options, slack, load):
    can_wait_ms = options[-1].expected_ms / PATIENCE * (1 + 1e-9)  # a hair beyond any rounding
    patient = replace(load, demand_slack_ms=can_wait_ms)
    decision = bind(options, slack, patient)
    assert decision == bind(options, slack, replace(load, demand=0.0))


def test_a_budget_below_the_cheapest_cost_is_late_even_without_other_jobs():
    cheapest_ms = LADDER[0].safe_ms
    assert late_ms(LADDER, 0.75 * cheapest_ms, ALONE) == pytest.approx(0.25 * cheapest_ms)
    assert late_ms(LADDER, cheapest_ms, ALONE) == 0


def test_of_two_pictures_in_one_burst_the_small_one_is_made_wider():
    small, large = ladder(10, 20, 30, 40), ladder(100, 200, 300, 400)
    waiting = [Group(NOW + 1500.0, 10.0, 600.0, 10.0)]
    load = Load(NOW, 1, (), waiting, mix=mix_of(small, large))
    wide, narrow = bind(small, 2000, load), bind(large, 2000, load)
    assert wide is not None
    assert narrow is not None
    assert wide.option.rung.width > narrow.option.rung.width
    assert narrow.reason is Reason.BACKLOG
