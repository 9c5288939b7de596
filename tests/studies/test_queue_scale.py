"""The study of how many workers one server carries runs whole, and small. No time is asserted."""

from __future__ import annotations

import time

import pytest

from benchmarks.light_load.load import LightLoad
from benchmarks.light_load.server_costs import costs_us
from benchmarks.light_load.workers import HEARTBEAT_S
from studies import queue_scale


async def test_the_servers_time_for_each_call_is_measured(redis_url: str) -> None:
    costs = await costs_us(redis_url, workers=3, running=2, gateways=2)
    assert set(costs) == set(queue_scale.CALLS)
    assert all(cost >= 0 for cost in costs.values())
    assert costs["job, none waits"] > 0


def test_light_workers_and_gateways_run_the_jobs_that_they_are_given(redis_url: str) -> None:
    load = LightLoad(
        *(redis_url, f"light-{time.time()}", 6, 2, 0.1, 0.5, 0.02),
        *(time.time() + 4.0, 2.0),
    )
    outcome = queue_scale.run(load, [redis_url])
    of = outcome.latencies.of
    assert "failed" not in of
    assert {"submit", "complete and claim", "expected end", "look", "heartbeat", "snapshot"} <= set(
        of
    )
    assert len(of["complete and claim"]) > 10
    assert len(outcome.row()) == len(queue_scale.LOAD_HEAD)


def test_the_cores_of_a_server_follow_from_its_time_for_each_call() -> None:
    costs = dict.fromkeys(queue_scale.CALLS, 0.0)
    assert queue_scale.cores(costs, 1000) == 0
    heartbeats = queue_scale.cores({**costs, "heartbeat": 100.0}, 1000)
    assert heartbeats == pytest.approx(0.1 / HEARTBEAT_S)
    snapshots = queue_scale.cores({**costs, "snapshot": 10_000.0}, 1000)
    assert snapshots == pytest.approx(0.01 * queue_scale.GATEWAYS)
    assert queue_scale.cost_table({10: costs}).count("\n") == len(queue_scale.CALLS) + 2
