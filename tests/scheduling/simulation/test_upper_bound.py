"""No schedule of a tiny workload exceeds the offline bound, and some reach it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import STRATEGIES
from scheduling.simulation.upper_bound import OutOfReachError, bound
from tests.scheduling.simulation.test_simulator import TABLES, bursts, workload


def best_schedule(requests, workers: int, wanted: int) -> float | None:
    """Best mean quality with exactly `wanted` in time, over every order, subset and option.

    Some best schedule runs jobs in some order, each on the worker that is free first.
    """
    best = None
    everyone = range(len(requests))
    for order in itertools.permutations(everyone, wanted):
        for ways in itertools.product(range(len(TABLES[0])), repeat=wanted):
            free, total = [0.0] * workers, 0.0
            for job, way in zip(order, ways, strict=True):
                option = TABLES[requests.kind[job]][way]
                begin = max(min(free), requests.arrival_ms[job])
                end = begin + option.expected_ms
                if end > requests.arrival_ms[job] + requests.budget_ms[job]:
                    break
                free[free.index(min(free))] = end
                total += option.db or 0.0
            else:
                best = max(best or 0.0, total / wanted)
    return best


some_requests = st.lists(
    st.tuples(st.floats(0, 200), st.floats(10, 250), st.integers(0, 1)), min_size=3, max_size=3
).map(lambda rows: workload(*map(list, zip(*sorted(rows), strict=True))))


@settings(max_examples=60)
@given(some_requests, st.integers(1, 2), st.integers(1, 3))
def test_no_schedule_of_a_tiny_workload_exceeds_the_bound(requests, workers, wanted):
    best = best_schedule(requests, workers, wanted)
    assume(best is not None)
    assert best is not None
    found = bound(requests, TABLES, wanted / 3, workers, cell_ms=10.0)
    assert found.attainment == pytest.approx(wanted / 3)
    assert found.db >= best - 1e-6


def test_the_bound_is_reached_where_the_best_schedule_is_obvious():
    # One at a time, each with time for its widest, or for its narrowest network only.
    for budget, index in ((80.0, 4), (20.0, 1)):
        requests = workload([0.0, 1000.0, 2000.0], budget)
        found = bound(requests, TABLES, 1.0, 1, cell_ms=20.0)
        assert found.db == pytest.approx(best_schedule(requests, 1, 3))
        assert found.db == pytest.approx(TABLES[0][index].db)


def test_the_bound_is_tight_where_workers_must_share_the_work():
    # Two at once, one worker, 100 ms in all: 80 + 20 ms, or 60 + 40, or mixtures between.
    requests = workload([0.0, 0.0], 100.0)
    found = bound(requests, TABLES, 1.0, 1, cell_ms=100.0)
    assert found.db == pytest.approx(best_schedule(requests, 1, 2))


def test_a_picture_runs_on_one_worker_at_a_time():
    # 60 ms on any number of workers are 60 ms of one picture.
    requests = workload([0.0], 60.0)
    assert bound(requests, TABLES, 1.0, 8, cell_ms=20.0).db == pytest.approx(TABLES[0][3].db)


def test_an_impossible_attainment_is_an_error():
    with pytest.raises(OutOfReachError):
        bound(workload([0.0], 1.0), TABLES, 1.0, 1)
    with pytest.raises(OutOfReachError):
        bound(workload([0.0] * 200, 50.0), TABLES, 1.0, 1)


def test_a_coarser_grid_gives_a_looser_bound():
    requests = bursts(300)
    fine, coarse = (bound(requests, TABLES, 1.0, 4, cell_ms=ms).db for ms in (25.0, 400.0))
    assert coarse >= fine - 1e-9


@pytest.mark.parametrize("name", ["ours", "greedy", "narrowest", "widest", "widest-admitted"])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_strategy_exceeds_the_bound(name, seed):
    requests, machine = bursts(500, seed=seed), SimulatedWorkers(seed=seed)
    outcome = simulate(requests, TABLES, STRATEGIES[name](), machine)
    found = bound(requests, TABLES, outcome.attainment, 4, machine.factors(500))
    assert outcome.db <= found.db + 1e-9
    assert found.attainment == pytest.approx(outcome.attainment)


def test_factors_scale_the_expected_costs():
    requests = workload([0.0], 80.0)
    assert bound(requests, TABLES, 1.0, 1, np.array([2.0])).db == pytest.approx(TABLES[0][2].db)


def test_an_option_without_quality_cannot_be_bounded():
    unknown = [tuple(replace(o, db=None) for o in TABLES[0])]
    with pytest.raises(ValueError, match="no measured quality"):
        bound(workload([0.0], 80.0), unknown, 1.0, 1)
