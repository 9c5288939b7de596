"""Clients against each other: properties of admission and width, and the simulation of a flood."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jobs.backlog import ClientLoad, Group
from scheduling.load import Load
from scheduling.policy import bind
from scheduling.shares import over_share_ms, share_slack_ms
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.result import SimulationResult
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import Ours
from scheduling.simulation.workload import beside
from tests.scheduling.simulation.test_simulator import TABLES, bursts
from tests.scheduling.test_load import NOW, loads
from tests.scheduling.test_policy import LADDER, ladders


@given(ladders, st.floats(1, 5000), loads(), st.floats(0.01, 0.99))
def test_client_that_used_nothing_is_narrowed_no_further_than_all(options, slack_ms, load, part):
    assume(load.workers)
    own = replace(load, own=ClientLoad(part))
    together, apart = bind(options, slack_ms, load), bind(options, slack_ms, own)
    assert (together is None) == (apart is None)
    if together is not None and apart is not None:
        assert options.index(apart.option) >= options.index(together.option)


def test_client_that_used_its_part_is_held_to_it():
    waiting = (Group(NOW + 1000, 10.0, 200.0),)
    free = Load(NOW, 2, waiting=waiting)
    own = ClientLoad(0.25, waiting, used=1.0)
    chosen = [bind(LADDER, 1000, load) for load in (free, replace(free, own=own))]
    assert [one.option.rung.width for one in chosen if one] == [1.0, 0.25]


@given(st.floats(0.01, 0.99), st.integers(1, 8), st.floats(20, 5000))
def test_client_without_waiting_jobs_is_never_beyond_its_part(part, workers, budget_ms):
    load = Load(NOW, workers, own=ClientLoad(part))
    assert over_share_ms(LADDER, budget_ms, load) == 0


own_groups = st.lists(
    st.builds(Group, st.floats(NOW, NOW + 9000), st.floats(0, 2000), st.floats(0, 2000)),
    max_size=8,
).map(lambda groups: tuple(sorted(groups)))


@given(st.floats(0.01, 0.99), st.integers(1, 8), own_groups, st.floats(20, 9000), st.floats(0, 1))
def test_least_slack_within_a_clients_part(part, workers, waiting, slack_ms, less):
    load, cheapest_ms = Load(NOW, workers, own=ClientLoad(part, waiting)), LADDER[0].safe_ms

    def over(slack_ms: float) -> float:
        return over_share_ms(LADDER, slack_ms + cheapest_ms, load)

    found = share_slack_ms(cheapest_ms, slack_ms, load)
    assert found >= slack_ms
    assert over(found) <= 1e-6
    between = slack_ms + less * (found - slack_ms)
    assert between > found - 1 or over(between) > 0


def test_wait_until_a_client_is_within_its_part():
    own = ClientLoad(0.5, (Group(NOW + 100, 900.0, 900.0),))
    late_ms = over_share_ms(LADDER, 400 + LADDER[0].safe_ms, Load(NOW, 1, own=own))
    assert late_ms == pytest.approx((900 - 0.5 * 400) / 0.5)


def outcome(result: SimulationResult) -> tuple[int, int, float]:
    return result.met, result.refused, result.db


def test_client_alone_is_decided_on_as_without_clients():
    workload = bursts(1500, load=4.0)
    one = simulate(workload, TABLES, Ours(), SimulatedWorkers())
    named = simulate(beside((workload,), (3.0,)), TABLES, Ours(), SimulatedWorkers())
    assert outcome(one) == outcome(named)


def test_flood_costs_another_client_little():
    own, flood = bursts(400, load=0.4), bursts(9000, load=9.0, seed=2)
    alone = simulate(own, TABLES, Ours(), SimulatedWorkers())
    both = beside((own, flood), (1.0, 1.0))
    assert both.client is not None
    shared = simulate(both, TABLES, Ours(), SimulatedWorkers())
    single = simulate(
        replace(both, client=None, weights=(1.0,)), TABLES, Ours(), SimulatedWorkers()
    )
    first = [n for n, client in enumerate(both.client.tolist()) if client == 0]

    def fared(result: SimulationResult) -> tuple[float, float]:
        found = [result.db_of[n] for n in first if n in result.db_of]
        return len(found) / len(first), sum(found) / len(found)

    (met, db), (_, db_of_one) = fared(shared), fared(single)
    assert met > alone.attainment - 0.01
    assert abs(alone.db - db) < abs(alone.db - db_of_one) / 2
