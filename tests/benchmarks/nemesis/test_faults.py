"""The faults of a run follow from its seed."""

from __future__ import annotations

from itertools import islice, pairwise

from benchmarks.nemesis.faults import (
    AIMED,
    GATEWAYS,
    LEASE_S,
    RATES,
    SETTLING_S,
    WORKERS,
    Kind,
    Plan,
    schedule,
)
from benchmarks.nemesis.requests import wishes

EXPECTED = [
    "3.50 s: worker killed (0), 0.00 s",
    "9.19 s: worker killed (1), 0.00 s",
    "9.95 s: result held up until another worker runs its job (0), 8.86 s",
    "11.98 s: connections cut (4), 0.00 s",
    "12.26 s: worker stopped past its lease (1), 3.03 s",
    "13.07 s: result held up until its job has ended (0), 7.79 s",
]


def test_a_seed_draws_the_same_faults_and_another_one_others() -> None:
    assert schedule(Plan(7, 2)) == schedule(Plan(7, 2))
    assert schedule(Plan(7, 2)) != schedule(Plan(8, 2))


def test_the_faults_of_a_seed_are_the_same_on_every_machine() -> None:
    # A seed in a report replays its run only as long as this holds.
    assert [str(fault) for fault in schedule(Plan(1, 14 / 60))] == EXPECTED


def test_a_longer_run_begins_with_the_faults_of_a_shorter_one() -> None:
    shorter = schedule(Plan(3, 1))
    assert [fault for fault in schedule(Plan(3, 10)) if fault.at_s < 60.0] == shorter


def test_an_hour_has_as_many_faults_as_their_rates_say() -> None:
    faults = schedule(Plan(5, 60))
    for kind in RATES:
        times = sum(fault.kind is kind for fault in faults)
        expected = 60 * RATES[kind].per_minute
        assert abs(times - expected) < 5 * expected**0.5, kind


def test_aimed_faults_come_early_and_regularly() -> None:
    for seed in range(20):
        for kind in AIMED:
            of_kind = schedule(Plan(seed, 2, only=frozenset({kind})))
            moments = [SETTLING_S, *(fault.at_s for fault in of_kind)]
            period_s = 60.0 / RATES[kind].per_minute
            gaps = [after - before for before, after in pairwise(moments)]
            assert gaps[0] <= period_s
            assert all(0.7 * period_s < gap < 1.3 * period_s for gap in gaps[1:])


def test_faults_meet_what_there_is_and_last_as_long_as_they_may() -> None:
    parts = {Kind.WORKER_KILL: WORKERS, Kind.GATEWAY_KILL: GATEWAYS, Kind.CUT: GATEWAYS + WORKERS}
    faults = schedule(Plan(2, 30))
    assert all(fault.at_s >= SETTLING_S for fault in faults)
    for kind, targets in parts.items():
        assert {fault.target for fault in faults if fault.kind is kind} == set(range(targets))
    stops = [fault.seconds for fault in faults if fault.kind is Kind.WORKER_STOP]
    assert all(LEASE_S < seconds <= RATES[Kind.WORKER_STOP].longest_s for seconds in stops)


def test_a_plan_chooses_kinds_and_how_often_and_long_they_are() -> None:
    usual = [fault for fault in schedule(Plan(2, 30)) if fault.kind is Kind.PARTITION]
    only = frozenset({Kind.PARTITION})
    assert schedule(Plan(2, 30, only=only)) == usual
    longer = schedule(Plan(2, 30, longer=2.0, only=only))
    assert [fault.seconds for fault in longer] == [2 * fault.seconds for fault in usual]
    more = schedule(Plan(2, 15, times=2.0, only=only))
    assert [fault.target for fault in more] == [fault.target for fault in usual][: len(more)]
    assert len(more) > len(usual) / 2


def test_callers_draw_their_requests_from_the_seed_with_marks_of_their_own() -> None:
    first, again, other = (list(islice(wishes(1, caller), 50)) for caller in (0, 0, 1))
    assert first == again
    marks = {wish.mark for wish in (*first, *other)}
    assert len(marks) == 100
    assert 0 < sum(wish.repeats for wish in first) < 50 / 4
