"""A heartbeat contains the last known state of the machine."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry

from jobs.heartbeat import MachineState
from jobs.redis_queue import RedisQueue
from tests.support.waiting import eventually
from tests.workers.workbench import costs_of
from workers.current_models import LoadedModels
from workers.heartbeat import Heartbeat
from workers.metrics import WorkerMetrics

STATE = MachineState(0.5, 0.0, 1, 2)


async def test_each_heartbeat_has_the_latest_state_of_the_machine(queue: RedisQueue) -> None:
    known: list[MachineState | None] = [None]
    metrics = WorkerMetrics(CollectorRegistry())
    heartbeat = Heartbeat(queue.registry, "w", metrics, every_s=0.01, machine=lambda: known[0])
    async with heartbeat.beating():
        heartbeat.warm(LoadedModels({}, costs_of(10)))

        async def reported(state: MachineState | None) -> bool:
            return [(p.ready, p.machine) for p in await queue.registry.heartbeats()] == [
                (True, state)
            ]

        for known[0] in (None, STATE, None):
            await eventually(partial(reported, known[0]), f"a heartbeat with {known[0]}")
