"""What the gateway knows of workers and queue: sampled in the background, never per request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from jobs.job import QueueStats, WorkerPulse
from jobs.queue import JobQueue
from scheduling.cost_model import CostModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveWorker:
    """A worker that lives, with the cost model that it last published."""

    worker_id: str
    ready: bool
    busy: bool
    models: tuple[str, ...]
    costs: CostModel


@dataclass(frozen=True)
class Snapshot:
    """Workers and queue at one moment. `stats` is None while the queue cannot be reached."""

    workers: tuple[LiveWorker, ...] = ()
    stats: QueueStats | None = None

    def ready_for(self, model: str | None) -> list[LiveWorker]:
        """Return the workers to which a job of this model (None: of any) could go now."""
        return [w for w in self.workers if w.ready and (model is None or model in w.models)]

    @property
    def ready(self) -> bool:
        return self.stats is not None and any(worker.ready for worker in self.workers)


class SnapshotKeeper:
    """Holds the newest snapshot, and tells `on_change` of every new one."""

    def __init__(
        self, queue: JobQueue, period_s: float, on_change: Callable[[Snapshot], None]
    ) -> None:
        self._queue = queue
        self._period_s = period_s
        self._on_change = on_change
        self._current = Snapshot()

    @property
    def current(self) -> Snapshot:
        return self._current

    async def keep(self) -> None:
        """Refresh for ever; a queue that cannot be reached is a snapshot of nothing."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._period_s)

    async def refresh(self) -> None:
        """Take one snapshot."""
        try:
            pulses, stats = await asyncio.gather(self._queue.pulses(), self._queue.stats())
            workers = tuple(worker for pulse in pulses if (worker := _live(pulse)) is not None)
            taken = Snapshot(workers, stats)
        except ConnectionError as error:
            log.warning("the queue cannot be reached: %s", error)
            taken = Snapshot()
        except Exception:
            log.exception("no snapshot of the queue could be taken")
            taken = Snapshot()
        self._current = taken
        self._on_change(taken)


def _live(pulse: WorkerPulse) -> LiveWorker | None:
    try:
        costs = CostModel.from_dict(pulse.costs) if pulse.costs else CostModel()
    except (KeyError, TypeError, ValueError, AttributeError):
        log.warning("worker %s publishes a cost model that cannot be read", pulse.worker_id)
        return None
    return LiveWorker(pulse.worker_id, pulse.ready, pulse.busy, tuple(pulse.models), costs)
