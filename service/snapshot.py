"""Snapshots of workers and queue, taken in the background, never per request.

A snapshot that is too old counts as unknown, as if the queue could not be reached, not as idle.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from jobs.backlog import Backlog, QueueStats
from jobs.heartbeat import WorkerHeartbeat
from jobs.queue import JobQueue
from jobs.queue_health import QueueHealth
from scheduling.cost_model import CostModel
from scheduling.stages import NETWORK

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveWorker:
    """A live worker: its last heartbeat, and the cost model in it."""

    heartbeat: WorkerHeartbeat
    costs: CostModel

    @property
    def ready(self) -> bool:
        """Whether the worker is warm: a job sent now runs at once."""
        return self.heartbeat.ready

    @property
    def slowdown(self) -> float:
        """Network time over the calibrated one, without contention; above 1 is slower."""
        return self.costs.slowdown.get(NETWORK, 1.0)


@dataclass(frozen=True)
class Snapshot:
    """Workers and queue at one moment.

    `stats` and `health` are None, and there are no workers, while nothing is known: the queue
    cannot be reached, or could not for too long.
    """

    workers: tuple[LiveWorker, ...] = ()
    stats: QueueStats | None = None
    taken_at: float = float("-inf")
    """By the cache's clock, before the call to the queue, so that a slow answer counts as old."""
    health: QueueHealth | None = None

    def ready_for(self, requirement: str) -> list[LiveWorker]:
        """Return the ready workers that can run a job with this `Job.requirement`."""
        return [
            worker
            for worker in self.workers
            if worker.ready and requirement in worker.heartbeat.capabilities
        ]

    def backends_of(self, model: str) -> list[str]:
        """Return "runtime precision" of each backend that runs a model in ready workers."""
        states = (worker.heartbeat.backends.get(model) for worker in self.workers if worker.ready)
        return sorted({f"{state.runtime} {state.precision}" for state in states if state})

    def with_backlog(self, backlog: Backlog) -> Snapshot:
        """Return a copy with a newer backlog."""
        stats = None if self.stats is None else replace(self.stats, backlog=backlog)
        return replace(self, stats=stats)

    @property
    def ready(self) -> bool:
        """Whether the queue is known and at least one worker is ready."""
        return self.stats is not None and any(worker.ready for worker in self.workers)


class SnapshotCache:
    """Holds the newest snapshot. `clock` is monotonic; all times are in seconds."""

    def __init__(
        self, queue: JobQueue, period_s: float, stale_s: float, clock: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._period_s = period_s
        self._stale_s = stale_s
        self._clock = clock
        self._newest = Snapshot()

    @property
    def current(self) -> Snapshot:
        """The newest snapshot; if that is too old, an empty one taken at the same time."""
        if self.age_s > self._stale_s:
            return replace(self._newest, workers=(), stats=None, health=None)
        return self._newest

    @property
    def age_s(self) -> float:
        """Age of the newest snapshot; infinite before the first."""
        return self._clock() - self._newest.taken_at

    async def keep_fresh(self) -> None:
        """Refresh for ever, once per period."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._period_s)

    async def refresh(self) -> None:
        """Take one snapshot; an empty one if the queue cannot be reached."""
        taken_at = self._clock()
        try:
            heartbeats, stats, health = await asyncio.gather(
                self._queue.registry.heartbeats(), self._queue.submissions.stats(), self._health()
            )
            workers = tuple(
                worker for heartbeat in heartbeats if (worker := _live(heartbeat)) is not None
            )
            self._newest = Snapshot(workers, stats, taken_at, health)
        except ConnectionError as error:
            log.warning("the queue cannot be reached: %s", error)
            self._newest = Snapshot(taken_at=taken_at)
        except Exception:
            log.exception("no snapshot of the queue could be taken")
            self._newest = Snapshot(taken_at=taken_at)

    async def _health(self) -> QueueHealth | None:
        """Return the queue's health; None while the pictures' Redis is away, because requests can
        still be admitted then."""
        try:
            return await self._queue.registry.health()
        except ConnectionError:
            return None


def _live(heartbeat: WorkerHeartbeat) -> LiveWorker | None:
    try:
        costs = CostModel.from_dict(heartbeat.costs) if heartbeat.costs else CostModel()
    except (KeyError, TypeError, ValueError, AttributeError):
        log.warning("worker %s publishes a cost model that cannot be read", heartbeat.worker_id)
        return None
    return LiveWorker(heartbeat, costs)
