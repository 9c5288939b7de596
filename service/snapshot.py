"""What the gateway knows of workers and queue: sampled in the background, never per request.

What was true some time ago says nothing of now: a snapshot that is too old counts as unknown, as
if the queue could not be reached, and not as idle.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from jobs.job import BackendState, Backlog, MachineState, QueueHealth, QueueStats, WorkerHeartbeat
from jobs.queue import JobQueue
from scheduling.cost_model import NETWORK, CostModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveWorker:
    """A worker that lives, with the cost model that it last published."""

    worker_id: str
    ready: bool
    busy: bool
    models: tuple[str, ...]
    costs: CostModel
    machine: MachineState | None = None
    """None where it does not say."""
    capabilities: tuple[str, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    reloads: int = 0
    backends: Mapping[str, BackendState] = field(default_factory=dict)

    @property
    def slowdown(self) -> float:
        """Network time over the calibrated one, without contention; above 1 is slower."""
        return self.costs.slowdown.get(NETWORK, 1.0)


@dataclass(frozen=True)
class Snapshot:
    """Workers and queue at one moment. `stats` and `health` are None, and there are no workers,
    while nothing is known: the queue cannot be reached, or could not for too long."""

    workers: tuple[LiveWorker, ...] = ()
    stats: QueueStats | None = None
    taken_at: float = float("-inf")
    """By the keeper's clock, before the queue was asked: a slow answer is old when it comes."""
    health: QueueHealth | None = None

    def ready_for(self, needs: str) -> list[LiveWorker]:
        """Return the workers to which a job could go now that needs this (`Job.requirement`)."""
        return [worker for worker in self.workers if worker.ready and needs in worker.capabilities]

    def backends_of(self, model: str) -> list[str]:
        """Return what runs a model in workers that are ready, each once."""
        states = (worker.backends.get(model) for worker in self.workers if worker.ready)
        return sorted({f"{state.runtime} {state.precision}" for state in states if state})

    def with_backlog(self, backlog: Backlog) -> Snapshot:
        """Return it with what waits and runs by a newer word."""
        stats = None if self.stats is None else replace(self.stats, backlog=backlog)
        return replace(self, stats=stats)

    @property
    def ready(self) -> bool:
        return self.stats is not None and any(worker.ready for worker in self.workers)


class SnapshotKeeper:
    """Holds the newest snapshot. `clock` never goes back; in seconds, as the times are."""

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
        """The newest snapshot; when it is too old, one that knows nothing, of the same time."""
        if self.age_s > self._stale_s:
            return replace(self._newest, workers=(), stats=None, health=None)
        return self._newest

    @property
    def age_s(self) -> float:
        """Age of the newest snapshot; infinite before the first."""
        return self._clock() - self._newest.taken_at

    async def keep(self) -> None:
        """Refresh for ever; a queue that cannot be reached is a snapshot of nothing."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._period_s)

    async def refresh(self) -> None:
        """Take one snapshot."""
        taken_at = self._clock()
        try:
            heartbeats, stats, health = await asyncio.gather(
                self._queue.heartbeats(), self._queue.stats(), self._vitals()
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

    async def _vitals(self) -> QueueHealth | None:
        """Return them; None when the pictures' Redis is away, which is no reason to refuse all."""
        try:
            return await self._queue.health()
        except ConnectionError:
            return None


def _live(heartbeat: WorkerHeartbeat) -> LiveWorker | None:
    try:
        costs = CostModel.from_dict(heartbeat.costs) if heartbeat.costs else CostModel()
    except (KeyError, TypeError, ValueError, AttributeError):
        log.warning("worker %s publishes a cost model that cannot be read", heartbeat.worker_id)
        return None
    return LiveWorker(
        heartbeat.worker_id,
        heartbeat.ready,
        heartbeat.busy,
        heartbeat.models,
        costs,
        machine=heartbeat.machine,
        capabilities=heartbeat.capabilities,
        broken=heartbeat.broken,
        reloads=heartbeat.reloads,
        backends=heartbeat.backends,
    )
