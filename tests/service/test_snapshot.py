"""A snapshot that is too old counts as unknown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest

from jobs.backlog import Backlog, QueueStats
from jobs.errors import NotReady
from jobs.heartbeat import MachineState, WorkerHeartbeat
from jobs.queue import JobQueue
from jobs.queue_health import QueueHealth
from models.catalog import Catalog
from service.admission import admitted
from service.snapshot import SnapshotCache
from tests.service.harness import CAPABILITIES, MODEL, cost_model, model_entry
from tests.service.test_admission import JOB

CATALOG = Catalog(default=MODEL, models=(model_entry(MODEL),))
MACHINE = MachineState(0.5, 0.0, 1, 2)
COSTS = replace(cost_model(), slowdown={"network": 1.75})
HEARTBEAT = WorkerHeartbeat(
    "w", True, (MODEL,), COSTS.to_dict(), machine=MACHINE, capabilities=CAPABILITIES
)
STALE_S = 5.0
STATS = QueueStats(3, 1, 20.0, 400.0, Backlog(0.0))


class SlowQueue:
    """A queue with a clock of its own, whose calls take `takes_s` or fail."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes_s = 0.0
        self.error: Exception | None = None
        self.registry = self.submissions = self

    async def heartbeats(self) -> list[WorkerHeartbeat]:
        self.now += self.takes_s
        if self.error is not None:
            raise self.error
        return [HEARTBEAT]

    async def stats(self) -> QueueStats:
        return STATS

    async def health(self) -> QueueHealth:
        return QueueHealth(2, 1, 4)


@pytest.fixture
def queue() -> SlowQueue:
    return SlowQueue()


@pytest.fixture
def snapshots(queue: SlowQueue) -> SnapshotCache:
    return SnapshotCache(cast("JobQueue", queue), 1.0, STALE_S, lambda: queue.now)


async def test_a_fresh_snapshot_holds_workers_and_queue(
    queue: SlowQueue, snapshots: SnapshotCache
) -> None:
    await snapshots.refresh()
    queue.now += STALE_S
    seen = snapshots.current
    assert (seen.ready, seen.stats, seen.taken_at) == (True, STATS, 100.0)
    [worker] = seen.workers
    assert (worker.heartbeat.machine, worker.slowdown) == (MACHINE, 1.75)
    assert snapshots.age_s == STALE_S
    assert admitted(JOB, seen, CATALOG, 0.0)


async def test_a_stale_snapshot_is_empty(queue: SlowQueue, snapshots: SnapshotCache) -> None:
    await snapshots.refresh()
    queue.now += STALE_S + 0.01
    stale = snapshots.current
    assert (stale.ready, stale.stats, stale.workers) == (False, None, ())
    assert stale.taken_at == 100.0
    with pytest.raises(NotReady, match="cannot be reached"):
        admitted(JOB, stale, CATALOG, 0.0)
    await snapshots.refresh()
    assert snapshots.current.ready


async def test_a_snapshot_is_as_old_as_the_call_to_the_queue(
    queue: SlowQueue, snapshots: SnapshotCache
) -> None:
    queue.takes_s = STALE_S + 1
    await snapshots.refresh()
    assert snapshots.age_s == STALE_S + 1
    assert not snapshots.current.ready


@pytest.mark.parametrize("error", [ConnectionError("away"), RuntimeError("a bug")])
async def test_a_failed_refresh_empties_the_snapshot_at_once(
    queue: SlowQueue, snapshots: SnapshotCache, error: Exception
) -> None:
    await snapshots.refresh()
    queue.error = error
    queue.now += 1
    await snapshots.refresh()
    assert (snapshots.current.stats, snapshots.current.workers, snapshots.age_s) == (None, (), 0.0)


def test_the_snapshot_is_empty_before_the_first_refresh(snapshots: SnapshotCache) -> None:
    assert snapshots.current.stats is None
    assert math.isinf(snapshots.age_s)
