"""Longest run and wait equal their definitions, written out plainly."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.backlog import Backlog, Group, Run
from scheduling.load import (
    SLOT_MS,
    YIELD_MS,
    Load,
    Slots,
    run_limits,
    wait_ms,
    yielding,
)

NOW = 1000.0
costs = st.floats(0.5, 500)
sums = st.tuples(costs, costs, st.floats(0, 1)).map(lambda s: (s[0], s[1], s[2] * s[0]))
"""Cheapest and narrowest costs of a group, and the part of the first that is its last job's."""
starts = st.integers(0, 80).map(lambda slot: slot * SLOT_MS)


@st.composite
def loads(draw, least_waiting=0):
    """Any load with at least one free worker."""
    workers = draw(st.integers(1, 6))
    running = draw(st.lists(st.floats(NOW - 500, NOW + 3000), max_size=workers - 1))
    slots = draw(st.lists(starts, unique=True, min_size=least_waiting, max_size=12))
    waiting = [Group(NOW + s, *draw(sums)) for s in sorted(slots)]
    demand, slack = draw(st.floats(0, 10)), draw(st.floats(50, 20_000))
    return Load(NOW, workers, running, waiting, demand, slack)


def free_until(load, moment, from_now=NOW):
    """Free worker time from now to a moment: the definition, worker by worker."""
    idle = load.workers - len(load.running)
    ends = [from_now] * idle + [max(end, from_now) for end in load.running]
    return sum(max(0.0, moment - end) for end in ends)


def over(load, group):
    """Worker time until a slot's end, of the workers that are free when it begins, and what the
    last job of the slot takes after its start."""
    ended = sum(max(end, NOW) < group.latest_start_ms for end in load.running)
    free = load.workers - len(load.running) + ended
    return free_until(load, group.latest_start_ms) + free * SLOT_MS + group.last_ms


@given(loads(), st.floats(1, 20), st.floats(0.1, 1), st.none() | starts)
def test_longest_runs_match_their_definitions(load, stretch, part, after):
    from_ms = -math.inf if after is None else NOW + after
    longest, at_stretch = [math.inf], [math.inf]
    for place, group in enumerate(load.waiting):
        if group.latest_start_ms <= from_ms:
            continue
        before, until = load.waiting[:place], load.waiting[: place + 1]
        free, later = free_until(load, group.latest_start_ms), over(load, group)
        longest += [free - sum(g.cheapest_ms for g in before)]
        longest += [later - sum(g.cheapest_ms for g in until)]
        at_stretch += [part * later - stretch * sum(g.narrowest_ms for g in until)]
    limits = run_limits(load, from_ms)
    assert limits.longest_ms == pytest.approx(min(longest), abs=1e-6)
    assert limits.longest_at(stretch, part) == pytest.approx(min(at_stretch), abs=1e-6)


@given(loads(), st.floats(1, 20), starts, costs, costs)
def test_more_waiting_work_never_allows_a_longer_run(load, stretch, start, cheapest, network):
    groups = {g.latest_start_ms: g for g in load.waiting}
    known = groups.get(NOW + start, Group(NOW + start, 0.0, 0.0))
    sums = known.cheapest_ms + cheapest, known.narrowest_ms + network
    groups[NOW + start] = Group(NOW + start, *sums, known.last_ms)
    more = Load(NOW, load.workers, load.running, sorted(groups.values()), load.demand)
    before, after = run_limits(load), run_limits(more)
    assert after.longest_ms <= before.longest_ms + 1e-6
    assert after.longest_at(stretch) <= before.longest_at(stretch) + 1e-6
    assert wait_ms(more, NOW + 9e9) >= wait_ms(load, NOW + 9e9) - 1e-6


@pytest.mark.parametrize(
    ("workers", "free", "counted"), [(5, 0, 5), (5, 1, 5), (1, 0, 2), (1, 1, 3), (2, 1, 3)]
)
def test_a_load_counts_at_least_the_workers_that_its_runs_take(workers, free, counted):
    waiting = (Group(NOW + 10, 1.0, 2.0),)
    backlog = Backlog(NOW, waiting, (NOW + 1, NOW + 2), demand=0.5, demand_slack_ms=30.0)
    assert Load.of(backlog, workers, free) == Load(
        NOW, counted, (NOW + 1, NOW + 2), waiting, demand=0.5, demand_slack_ms=30.0
    )


@given(loads(least_waiting=1), st.floats(1, 20))
def test_one_more_worker_never_leaves_less_room(load, stretch):
    more = Load(NOW, load.workers + 1, load.running, load.waiting, load.demand)
    before, after = run_limits(load), run_limits(more)
    assert after.longest_ms >= before.longest_ms - 1e-6
    assert after.longest_at(stretch) >= before.longest_at(stretch) - 1e-6


def test_jobs_of_one_slot_limit_each_other():
    # Twenty jobs of 100 ms that all must start within the slot at 1000 ms from now, one worker.
    burst = Load(NOW, 1, (), [Group(NOW + 1000, 20 * 10.0, 20 * 100.0)])
    assert run_limits(burst).longest_at(0.4) == pytest.approx(1000 + SLOT_MS - 800)
    assert run_limits(burst).longest_ms == pytest.approx(1000 + SLOT_MS - 200)


def test_a_job_that_is_alone_in_its_slot_is_bound_by_its_start_alone():
    # It takes 400 ms from 300 ms on, on one worker: until then there is time for others.
    alone = Load(NOW, 1, (), [Group(NOW + 300, 400.0, 400.0, last_ms=400.0)])
    assert run_limits(alone).longest_ms == pytest.approx(300)
    assert run_limits(alone).longest_at(1.5) == pytest.approx(300 + SLOT_MS + 400 - 600)


@given(loads(), st.integers(0, 90).map(lambda slot: NOW + slot * SLOT_MS))
def test_the_wait_lasts_until_earlier_work_has_filled_the_workers(load, latest_start):
    work = sum(g.cheapest_ms for g in load.waiting if g.latest_start_ms <= latest_start)
    assert free_until(load, NOW + wait_ms(load, latest_start)) == pytest.approx(work, abs=1e-6)


def test_the_wait_is_infinite_without_a_worker():
    assert wait_ms(Load(NOW, 0), NOW) == math.inf


jobs = st.tuples(st.floats(0, 4000), costs, costs)


@given(st.lists(jobs, max_size=30), st.data())
def test_slots_hold_the_sums_of_the_waiting_jobs(added, data):
    slots = Slots()
    there: Counter[tuple[float, float, float]] = Counter()
    for job in added:
        slots.add(*job)
        there[job] += 1
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(there.elements())))
            slots.remove(*gone)
            there -= Counter([gone])
    sums: dict[float, list[float]] = {}
    for start, cheapest, network in there.elements():
        total = sums.setdefault(start // SLOT_MS * SLOT_MS, [0.0, 0.0])
        total[0] += cheapest
        total[1] += network
    groups = slots.groups()
    assert [g.latest_start_ms for g in groups] == sorted(sums)
    for group in groups:
        assert group[1:3] == pytest.approx(sums[group.latest_start_ms], abs=1e-6)


def test_returned_groups_do_not_change_afterwards():
    slots = Slots()
    slots.add(10.0, 1.0, 2.0)
    handed_out = slots.groups()
    slots.add(500.0, 1.0, 2.0)
    assert handed_out == [Group(0.0, 1.0, 2.0)]


def test_removing_an_unknown_job_is_an_error():
    with pytest.raises(KeyError):
        Slots().remove(10.0, 1.0, 2.0)


def test_a_run_is_contended_if_more_than_half_of_the_others_run_or_jobs_wait():
    assert not Load(0.0, 1).contended
    assert Load(0.0, 1, waiting=[Group(100.0, 1.0, 1.0)]).contended
    assert not Load(0.0, 2).contended
    assert Load(0.0, 2, running=[50.0]).contended
    assert not Load(0.0, 4, running=[50.0]).contended
    assert Load(0.0, 4, running=[50.0, 60.0]).contended


def test_a_run_that_gives_way_leaves_its_worker_free_and_is_no_contention() -> None:
    """It takes 3 s more; 1.5 times its narrowest network are 1.5 s of the 5 s that it has."""
    run = Run(NOW + 3_000, NOW + 5_000, 1_000.0)
    load = Load.at_arrival(Backlog(NOW, running=(run.end_ms,), runs=(run,)), 4, small=False)
    assert load.waiting == (Group(NOW + 3_500, 1_500, 1_500),)
    assert load.running == (NOW + YIELD_MS,)
    assert not load.contended
    late = Run(NOW + 3_000, NOW + 3_200, 2_200.0)  # has no time to spare
    busy = Load.at_arrival(Backlog(NOW, runs=(late, run)), 2, small=False)
    assert (busy.running, busy.yielding) == ((NOW + YIELD_MS, NOW + 3_000), 1)
    assert busy.contended


@pytest.mark.parametrize(("small", "gives_way"), [(True, True), (False, False)])
def test_a_run_without_time_for_a_network_gives_way_to_small_jobs(
    small: bool, gives_way: bool
) -> None:
    run = Run(NOW + 3_000, NOW + 5_000, 60_000.0)
    rest = yielding(run, NOW, small)
    assert rest == (Group(NOW + 500, 4_500, 4_500) if gives_way else None)
