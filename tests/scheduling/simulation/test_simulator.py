"""The simulator loses no request and runs none twice, even when workers fail."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.options import Option
from scheduling.policy import late_ms
from scheduling.rungs import FLOOR, Rung
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import STRATEGIES, Case, Ours
from scheduling.simulation.workload import ARRIVALS, Kind, Workload, closed_loop, draw

KINDS = (Kind(96, 96, 2.0), Kind(256, 192, 2.0))


def table(unit_ms: float, steps: tuple[float, ...] = (1, 2, 3, 4)) -> tuple[Option, ...]:
    """A floor and four widths that take `steps` times the unit, each gaining less."""
    rungs = [(FLOOR, 0.1, 29.9)]
    rungs += [(Rung("m", n / 4), steps[n - 1], 32.0 - (4 - n) ** 2 / 40) for n in (1, 2, 3, 4)]
    options = [Option(r, unit_ms * n, unit_ms * n * 1.2, db) for r, n, db in rungs]
    floor = replace(options[0], rescue_ms=1.5 * options[0].expected_ms)
    return (floor, *options[1:])


TABLES = [table(20), table(80)]


def workload(
    arrival_ms: list[float], budget_ms: float | list[float], kind: int | list[int] = 0
) -> Workload:
    count = len(arrival_ms)
    return Workload(
        np.array(arrival_ms, dtype=float),
        np.broadcast_to(np.array(budget_ms, dtype=float), count).copy(),
        np.broadcast_to(np.array(kind), count).copy(),
        KINDS,
    )


def bursts(count: int = 3000, load: float = 1.5, seed: int = 1) -> Workload:
    mean_ms = (TABLES[0][-1].expected_ms + TABLES[1][-1].expected_ms) / 2
    mix = [(kind, 0.5) for kind in KINDS]
    return draw(count, load * 4e3 / mean_ms, ARRIVALS["gamma4"], mix, seed=seed)


def ended(outcome: SimulationResult) -> int:
    answered = outcome.met + outcome.late + outcome.refused + outcome.dropped
    return answered + outcome.cancelled


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_request_ends_in_exactly_one_way(name):
    outcome = simulate(bursts(), TABLES, STRATEGIES[name](), SimulatedWorkers())
    assert ended(outcome) == outcome.requests == 3000
    assert sum(outcome.rungs.values()) == outcome.met + outcome.late
    assert 0 < outcome.busy <= 1


class Watched(Ours):
    """The strategy `ours`, which records its decisions."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: list[tuple[Case, int]] = []

    def choose(self, case: Case) -> tuple[int, int]:
        index, size = super().choose(case)
        self.cases.append((case, index))
        return index, size


times = st.lists(st.floats(0, 3000), min_size=1, max_size=40).map(sorted)
events = st.lists(
    st.tuples(
        st.floats(0, 3000), st.integers(0, 1), st.sampled_from([0.5, 1.0, 3.0, math.inf])
    ),
    max_size=5,
)  # fmt: skip


@settings(max_examples=200)
@given(times, st.integers(0, 2**32), events)
def test_no_job_is_both_refused_and_run_whatever_fails(arrivals, seed, slow):
    random = np.random.default_rng(seed)
    count = len(arrivals)
    requests = workload(
        arrivals, random.uniform(20, 1500, count).tolist(), random.integers(0, 2, count).tolist()
    )
    watched = Watched()
    outcome = simulate(requests, TABLES, watched, SimulatedWorkers(2, slow=slow))
    assert ended(outcome) == count
    assert outcome.met + outcome.late <= len(watched.cases)
    if not any(math.isinf(factor) for _, _, factor in slow):
        assert outcome.met + outcome.late == len(watched.cases)
        assert outcome.refused + outcome.dropped == count - len(watched.cases)


def test_jobs_are_claimed_in_the_order_of_their_latest_start():
    # All come while the one worker is busy; the budgets are in any order.
    budgets = [3000.0, 900, 2100, 600, 1500, 2700]
    requests = workload([0.0, 1, 2, 3, 4, 5], budgets)
    watched = Watched()
    simulate(requests, TABLES, watched, SimulatedWorkers(1, deviation=0.0))
    deadlines = [case.load.now_ms + case.slack_ms for case, _ in watched.cases[1:]]
    assert deadlines == sorted(deadlines)
    assert len(deadlines) == 5


def test_an_overload_is_refused_and_admitted_requests_are_met():
    requests = workload([0.0] * 1000, 400.0)
    outcome = simulate(requests, TABLES, Ours(), SimulatedWorkers(1, deviation=0.0))
    assert outcome.refused > 500
    assert outcome.late + outcome.dropped == 0
    options, alone = TABLES[0], Watched()
    simulate(workload([0.0], 400.0), TABLES, alone, SimulatedWorkers(1))
    assert late_ms(options, 400.0, alone.cases[0][0].load) == 0


def test_a_run_of_the_narrowest_network_that_would_be_late_is_resampled_in_time():
    # It is expected to take 20 of 23.5 ms, and takes 24; resampling takes 2.4.
    machine = SimulatedWorkers(1, deviation=0.0, slow=[(0.0, 0, 1.2)])
    requests = workload([0.0], 23.5)
    outcome = simulate(requests, TABLES, Ours(), machine)
    assert (outcome.met, outcome.rungs) == (1, {FLOOR.key: 1})
    late = simulate(requests, TABLES, STRATEGIES["narrowest"](), machine)
    assert (late.late, late.rungs) == (1, {"m@0.25": 1})


def test_a_wider_run_that_takes_longer_than_is_safe_is_resampled_in_time():
    # It is safe in 48 of 51.5 ms, and takes 52; resampling takes 2.6.
    machine = SimulatedWorkers(1, deviation=0.0, slow=[(0.0, 0, 1.3)])
    outcome = simulate(workload([0.0], 51.5), TABLES, Ours(), machine)
    assert (outcome.met, outcome.rungs) == (1, {FLOOR.key: 1})


def test_predictions_contain_the_mean_of_the_delays():
    delays = SimulatedWorkers(delay_ms=20.0).delays(100_000)
    assert delays.mean() == pytest.approx(0.0, abs=0.5)
    assert -20 <= delays.min() < -19.9
    assert not SimulatedWorkers().delays(10).any()


def test_a_long_budget_is_not_starved_by_a_constant_stream_of_short_ones():
    # Short ones keep the worker busy without end; the long one is due after 2 s.
    short = [20.0 * n for n in range(1000)]
    requests = workload(
        sorted([*short, 5.0]), [2000.0 if at == 5.0 else 300.0 for at in sorted([*short, 5.0])]
    )
    watched = Watched()
    simulate(requests, TABLES, watched, SimulatedWorkers(1, deviation=0.0))
    (claim,) = [c for c, _ in watched.cases if c.load.now_ms + c.slack_ms == 2005.0]
    assert claim.load.now_ms <= 2005.0
    assert any(case.load.now_ms > 2005.0 for case, _ in watched.cases)


def test_the_same_seed_gives_the_same_outcome_and_another_seed_another():
    one, same, other = (
        simulate(bursts(), TABLES, Ours(), SimulatedWorkers(seed=s)).to_dict() for s in (1, 1, 2)
    )
    assert one == same != other


def test_under_load_ours_keeps_its_promises_narrower_and_fixed_widest_does_not():
    tables = [table(unit_ms, (1, 1.35, 1.7, 2.1)) for unit_ms in (38, 152)]
    ours, widest, greedy = (
        simulate(bursts(8_000), tables, STRATEGIES[name](), SimulatedWorkers())
        for name in ("ours", "widest", "greedy")
    )
    assert ours.admitted_attainment > 0.99
    assert ours.refused < 0.02 * 8_000
    assert ours.attainment > 2.85 * widest.attainment
    assert ours.loss_db < greedy.loss_db


def test_a_lone_request_runs_at_the_widest():
    outcome = simulate(workload([0.0], 3000.0, 1), TABLES, Ours(), SimulatedWorkers())
    assert outcome.rungs == {"m@1": 1}
    assert (outcome.db, outcome.loss_db) == (32.0, 0.0)


def test_a_dead_workers_job_runs_again_on_another():
    # Worker 3 takes the job at once (320 ms at its widest) and dies in the middle of it.
    requests = workload([0.0], 3000.0, 1)
    dies = SimulatedWorkers(4, deviation=0.0, slow=[(100.0, 3, math.inf)])
    outcome = simulate(requests, TABLES, Ours(), dies)
    assert (outcome.met, outcome.rungs) == (1, {"m@1": 1})


def test_waiting_requests_are_dropped_when_all_workers_are_dead():
    requests = workload([0.0, 200.0], 3000.0, 1)
    dead = SimulatedWorkers(1, deviation=0.0, slow=[(100.0, 0, math.inf)])
    outcome = simulate(requests, TABLES, STRATEGIES["slackfit"](), dead)
    assert (outcome.met, outcome.dropped) == (0, 2)


def test_a_worker_that_comes_back_runs_jobs_again():
    requests = workload([0.0, 200.0], 3000.0, 1)
    returns = SimulatedWorkers(1, deviation=0.0, slow=[(100.0, 0, math.inf), (500.0, 0, 1.0)])
    outcome = simulate(requests, TABLES, Ours(), returns)
    assert outcome.met == 2


def test_ours_copes_with_a_dead_and_a_slow_worker():
    failing = SimulatedWorkers(
        slow=[(5e3, 0, 3.0), (2e4, 1, math.inf), (4e4, 1, 1.0), (5e4, 0, 1.0)]
    )
    outcome = simulate(bursts(8000, load=1.0), TABLES, Ours(), failing)
    blameless = simulate(bursts(8000, load=1.0), TABLES, Ours(), SimulatedWorkers())
    assert outcome.admitted_attainment > 0.98
    assert outcome.db < blameless.db
    assert outcome.rungs != blameless.rungs


def test_a_workers_slowdown_is_estimated_so_that_its_later_jobs_are_in_time():
    # Four times as slow: the widest would take 320 ms of these 250.
    requests = workload([1000.0 * n for n in range(30)], 250.0)
    slow = SimulatedWorkers(1, deviation=0.0, slow=[(0.0, 0, 4.0)])
    watched = Watched()
    outcome = simulate(requests, TABLES, watched, slow)
    assert outcome.late <= 4
    assert watched.cases[0][1] == 4
    assert watched.cases[-1][1] == 2
    assert watched.cases[-1][0].options[-1].expected_ms == pytest.approx(4 * 80, rel=0.05)


def test_progress_is_reported():
    reported: list[int] = []
    simulate(bursts(2500), TABLES, Ours(), SimulatedWorkers(), reported.append)
    assert reported == [1000, 2000]


def in_turn(count: int, callers: int, think_ms: float, budget_ms: float) -> Workload:
    mix = [(kind, 0.5) for kind in KINDS]
    return closed_loop(count, callers, think_ms, mix, (budget_ms, budget_ms))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_caller_who_waits_for_each_answer_always_gets_the_best_in_time(workers):
    outcome = simulate(in_turn(300, 1, 0.0, 1e4), TABLES, Ours(), SimulatedWorkers(workers))
    assert outcome.rungs == {"m@1": 300}
    assert outcome.met == 300
    assert all(np.diff(outcome.arrival_ms) > 0)


@pytest.mark.parametrize("callers", [2, 4, 16])
def test_a_closed_loop_is_hardly_narrowed_where_budgets_have_room(callers):
    requests = in_turn(1000, callers, 100.0, 1e4)
    outcome = simulate(requests, TABLES, Ours(), SimulatedWorkers(2))
    assert outcome.met == 1000
    assert outcome.rungs.get("m@1", 0) >= 500


@settings(max_examples=50)
@given(
    st.integers(1, 60), st.integers(1, 8), st.floats(0, 500), st.floats(30, 5000),
    st.lists(st.floats(0, 300) | st.just(math.inf), min_size=60, max_size=60),
)  # fmt: skip
def test_every_request_of_a_closed_loop_ends_in_exactly_one_way_with_cancellations(
    count, callers, think_ms, budget_ms, patience
):
    requests = replace(
        in_turn(count, callers, think_ms, budget_ms), patience_ms=np.array(patience[:count])
    )
    outcome = simulate(requests, TABLES, Ours(), SimulatedWorkers(2))
    assert ended(outcome) == count


def test_a_cancelled_long_run_does_not_narrow_the_next_ones():
    # A small one runs, a giant waits beside another and is cancelled; then one after the other.
    kinds = (*KINDS, Kind(4000, 3000, 2.0))
    tables = [*TABLES, table(20_000)]
    small = [5000.0 * n for n in range(1, 30)]
    requests = Workload(
        np.array([0.0, 1, 2, *small]),
        np.array([1e4, 1e4, 1e6, *[1e4] * len(small)]),
        np.array([0, 0, 2, *[0] * len(small)]),
        kinds,
        patience_ms=np.array([math.inf, math.inf, 1000.0, *[math.inf] * len(small)]),
    )
    outcome = simulate(requests, tables, Ours(), SimulatedWorkers(1, deviation=0.0))
    assert outcome.cancelled == 1
    assert outcome.rungs["m@1"] >= len(small)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_request_of_several_shards_ends_in_exactly_one_way(name):
    outcome = simulate(bursts(), TABLES, STRATEGIES[name](), SimulatedWorkers(shards=3))
    assert ended(outcome) == outcome.requests == 3000
    assert sum(outcome.rungs.values()) == outcome.met + outcome.late


@settings(max_examples=50)
@given(times, st.integers(0, 2**32), events)
def test_no_job_of_several_shards_is_lost_whatever_fails(arrivals, seed, slow):
    random = np.random.default_rng(seed)
    budgets = random.uniform(20, 1500, len(arrivals)).tolist()
    requests = workload(arrivals, budgets, random.integers(0, 2, len(arrivals)).tolist())
    outcome = simulate(requests, TABLES, Ours(), SimulatedWorkers(2, slow=slow, shards=2))
    assert ended(outcome) == len(arrivals)


def test_an_idle_worker_takes_a_job_of_another_shard_after_a_look():
    # Both shards have a worker, and both jobs go to one shard of those that look alike.
    requests = workload([0.0, 1.0], 3000.0, 1)
    for seed in range(10):
        machine = SimulatedWorkers(2, deviation=0.0, shards=2, seed=seed)
        watched = Watched()
        assert simulate(requests, TABLES, watched, machine).met == 2
        starts = [case.load.now_ms for case, _ in watched.cases]
        assert starts[0] == 0.0
        assert starts[1] == 1.0 or 1.0 < starts[1] <= 101.0


def test_a_job_that_one_shard_refuses_goes_to_the_other():
    # The first run leaves its own shard no time for a second job, and the other shard is idle.
    tables = [(table(20)[4],)]
    requests = workload([0.0, 1.0], 100.0)
    for seed in range(10):
        machine = SimulatedWorkers(2, deviation=0.0, shards=2, seed=seed)
        outcome = simulate(requests, tables, Ours(), machine)
        assert (outcome.met, outcome.refused) == (2, 0)


def test_each_shard_needs_a_worker():
    with pytest.raises(ValueError, match="shard"):
        SimulatedWorkers(2, shards=3)
