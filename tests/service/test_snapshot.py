"""A snapshot ages: what the gateway has not looked at for too long, it does not know."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest

from jobs.errors import NotReady
from jobs.job import MachineState, QueueHealth, QueueStats, WorkerHeartbeat
from jobs.queue import JobQueue
from models.catalog import Catalog
from service.admission import admitted
from service.snapshot import SnapshotKeeper
from tests.service.harness import MODEL, OFFERS, cost_model, model_entry
from tests.service.test_admission import JOB

CATALOG = Catalog(default=MODEL, models=(model_entry(MODEL),))
MACHINE = MachineState(0.5, 0.0, 1, 2)
COSTS = replace(cost_model(), slowdown={"network": 1.75})
PULSE = WorkerHeartbeat("w", True, (MODEL,), COSTS.to_dict(), machine=MACHINE, capabilities=OFFERS)
STALE_S = 5.0


class SlowQueue:
    """Answers after a time by the clock that it keeps itself, or fails."""

    def __init__(self) -> None:
        self.now = 100.0
        self.takes_s = 0.0
        self.error: Exception | None = None

    async def heartbeats(self) -> list[WorkerHeartbeat]:
        self.now += self.takes_s
        if self.error is not None:
            raise self.error
        return [PULSE]

    async def stats(self) -> QueueStats:
        return QueueStats(3, 1, 20.0, 400.0)

    async def health(self) -> QueueHealth:
        return QueueHealth(2, 1, 4)


@pytest.fixture
def queue() -> SlowQueue:
    return SlowQueue()


@pytest.fixture
def keeper(queue: SlowQueue) -> SnapshotKeeper:
    return SnapshotKeeper(cast("JobQueue", queue), 1.0, STALE_S, lambda: queue.now)


async def test_a_fresh_snapshot_tells_what_was_seen(
    queue: SlowQueue, keeper: SnapshotKeeper
) -> None:
    await keeper.refresh()
    queue.now += STALE_S
    seen = keeper.current
    assert (seen.ready, seen.stats, seen.taken_at) == (True, QueueStats(3, 1, 20.0, 400.0), 100.0)
    [worker] = seen.workers
    assert (worker.machine, worker.slowdown) == (MACHINE, 1.75)
    assert keeper.age_s == STALE_S
    assert admitted(JOB, seen, CATALOG, 0.0)


async def test_a_stale_snapshot_knows_nothing(queue: SlowQueue, keeper: SnapshotKeeper) -> None:
    await keeper.refresh()
    queue.now += STALE_S + 0.01
    stale = keeper.current
    assert (stale.ready, stale.stats, stale.workers) == (False, None, ())
    assert stale.taken_at == 100.0
    with pytest.raises(NotReady, match="cannot be reached"):
        admitted(JOB, stale, CATALOG, 0.0)
    await keeper.refresh()
    assert keeper.current.ready


async def test_an_answer_is_as_old_as_its_question(
    queue: SlowQueue, keeper: SnapshotKeeper
) -> None:
    queue.takes_s = STALE_S + 1
    await keeper.refresh()
    assert keeper.age_s == STALE_S + 1
    assert not keeper.current.ready


@pytest.mark.parametrize("error", [ConnectionError("away"), RuntimeError("a bug")])
async def test_a_look_that_fails_is_unknown_at_once(
    queue: SlowQueue, keeper: SnapshotKeeper, error: Exception
) -> None:
    await keeper.refresh()
    queue.error = error
    queue.now += 1
    await keeper.refresh()
    assert (keeper.current.stats, keeper.current.workers, keeper.age_s) == (None, (), 0.0)


def test_before_the_first_look_nothing_is_known(keeper: SnapshotKeeper) -> None:
    assert keeper.current.stats is None
    assert math.isinf(keeper.age_s)
