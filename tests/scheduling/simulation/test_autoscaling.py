"""The simulated autoscaler follows the rules of KEDA and the Horizontal Pod Autoscaler."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.options import Option
from scheduling.rungs import FLOOR, Rung
from scheduling.simulation.autoscaling import SYNC_MS, Autoscaler, Fleet, Reading, Signal
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.simulator import simulate
from scheduling.simulation.strategies import Ours
from scheduling.simulation.workload import Kind, Workload

TABLE = (
    Option(FLOOR, 2.0, 2.4, 29.9),
    *(Option(Rung("m", n / 4), 100.0 * n, 120.0 * n, 31 + n / 4) for n in (1, 2, 3, 4)),
)
RULE = Autoscaler(Signal.RUNNING, 0.5, start_ms=30_000.0, most=8)


def steady(rate_per_s: float, seconds: float, begins_s: float = 0.0) -> Workload:
    """Requests at even distances."""
    arrival = begins_s * 1e3 + np.arange(0, seconds * 1e3, 1e3 / rate_per_s)
    kind = np.zeros(len(arrival), dtype=np.int64)
    return Workload(arrival, np.full(len(arrival), 2000.0), kind, (Kind(96, 96, 2.0),))


def fleet_after(running: float, seconds: float, rule: Autoscaler = RULE) -> Fleet:
    """A fleet of which so many workers ran for so long."""
    fleet = Fleet(rule)
    while fleet.next_ms <= seconds * 1e3:
        fleet.advance(Reading(fleet.next_ms, 0.0, int(running), 0.0))
    return fleet


@given(st.floats(0.011, 100), st.integers(1, 8), st.floats(0.1, 3))
def test_a_wish_is_the_signal_in_units_of_the_target_within_bounds(value, replicas, target):
    rule = Autoscaler(Signal.BACKLOG, target, 0.0, fewest=1, most=8)
    wish = rule.wish(value, replicas)
    assert 1 <= wish <= 8
    ratio = value / (target * replicas)
    if abs(ratio - 1) <= 0.1:
        assert wish == replicas
    elif 1 < value / target < 8:
        assert wish - 1 < value / target <= wish


def test_signals_are_averaged_over_the_window():
    readings = deque([Reading(0, 1.0, 2, 10.0), Reading(5e3, 0.0, 0, 15.0), Reading(1e4, 3, 4, 30)])
    values = [Autoscaler(signal, 1.0, 0.0).value(readings) for signal in Signal]
    assert values == [3.0, 2.0, 2.0]


def test_a_worker_is_warm_only_after_its_start():
    fleet = fleet_after(1, 14.9)
    assert (fleet.replicas, fleet.warm, fleet.starting) == (2, 1, 1)
    fleet = fleet_after(1, 30.0)
    assert (fleet.replicas, fleet.warm) == (2, 2)


def test_no_more_workers_are_added_at_once_than_are_there_or_four():
    sizes = [fleet_after(100, SYNC_MS * n / 1e3).replicas for n in range(3)]
    assert sizes == [5, 8, 8]


def test_workers_are_stopped_when_none_was_wanted_for_the_time_of_stabilisation():
    fleet = fleet_after(2, 60.0)
    assert fleet.replicas == 4
    quiet_since = fleet.next_ms
    while fleet.replicas == 4:
        fleet.advance(Reading(fleet.next_ms, 0.0, 0, 0.0))
    quiet_ms = fleet.next_ms - quiet_since
    assert quiet_ms >= RULE.stabilisation_ms
    assert quiet_ms <= RULE.stabilisation_ms + RULE.window_ms + 2 * SYNC_MS


def test_workers_that_are_not_warm_are_stopped_first():
    fleet = fleet_after(2, 0.0)
    assert (fleet.warm, fleet.starting) == (1, 3)
    fleet._resize(0.0, 2)
    assert (fleet.warm, fleet.starting) == (1, 1)


def test_a_fleet_follows_steady_work_and_counts_its_hours():
    # Five requests a second of 400 ms keep two workers busy, which is the target of four.
    work = steady(5.03, 900)
    found = simulate(work, [TABLE], Ours(), SimulatedWorkers(autoscaler=RULE))
    assert found.met == len(work)
    assert found.rungs["m@1"] > 0.9 * len(work)
    fixed = simulate(work, [TABLE], Ours(), SimulatedWorkers(4, deviation=0.0))
    assert found.worker_ms == pytest.approx(fixed.worker_ms, rel=0.2)
    assert found.busy == pytest.approx(0.5, abs=0.1)


def test_waiting_work_at_its_cheapest_starts_no_worker_where_narrower_networks_keep_it_short():
    by_waiting = Autoscaler(Signal.BACKLOG, 2.0, start_ms=30_000.0)
    machine = SimulatedWorkers(deviation=0.0, autoscaler=by_waiting)
    found = simulate(steady(9, 300), [TABLE], Ours(), machine)
    assert found.worker_ms == pytest.approx(300e3, rel=0.01)
    assert found.loss_db > 0.5


def test_without_a_worker_requests_are_refused_until_one_is_warm():
    from_zero = Autoscaler(Signal.WANTED, 0.5, start_ms=30_000.0, fewest=0)
    machine = SimulatedWorkers(deviation=0.0, autoscaler=from_zero)
    work = steady(1, 100, begins_s=60.0)
    found = simulate(work, [TABLE], Ours(), machine)
    assert 30 <= found.refused <= 36
    assert found.met == len(work) - found.refused


def test_runs_alone_never_start_the_first_worker():
    from_zero = Autoscaler(Signal.RUNNING, 0.5, start_ms=30_000.0, fewest=0)
    found = simulate(steady(1, 50), [TABLE], Ours(), SimulatedWorkers(autoscaler=from_zero))
    assert (found.refused, found.worker_ms) == (50, 0.0)


def test_the_last_worker_is_stopped_after_the_cooldown():
    from_zero = Autoscaler(Signal.WANTED, 0.5, start_ms=10_000.0, fewest=0)
    arrival = np.array([0.0, *range(1_000, 60_000, 1_000), 600_000.0])
    kind = np.zeros(len(arrival), dtype=np.int64)
    work = Workload(arrival, np.full(len(arrival), 2000.0), kind, (Kind(96, 96, 2.0),))
    found = simulate(work, [TABLE], Ours(), SimulatedWorkers(autoscaler=from_zero))
    assert len(arrival) - 1 in found.refused_of
    assert found.worker_ms < 8 * 400e3


def test_workers_that_are_started_and_stopped_neither_slow_down_nor_belong_to_shards():
    with pytest.raises(ValueError, match="slow down"):
        SimulatedWorkers(autoscaler=RULE, slow=[(0.0, 0, math.inf)])
    with pytest.raises(ValueError, match="shard"):
        SimulatedWorkers(autoscaler=RULE, shards=2)
