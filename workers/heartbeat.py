"""How the service knows that a worker lives, what it can do and what that costs there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from jobs.heartbeat import MachineState, WorkerHeartbeat
from jobs.queue import Registry
from jobs.reload_requests import ReloadRequests
from scheduling.cost_model import CostModel
from workers.background import wait_for_event
from workers.metrics import WorkerMetrics
from workers.model_slot import LoadedModels

log = logging.getLogger("anysr.workers.heartbeat")


class Heartbeat:
    """A worker's state, said to the queue every `every_s` seconds while it is `beating`.

    `machine` answers at once what is known of the machine; `calls` hear, with each beat, of the
    last call to read the models again and of the models that were asked for."""

    def __init__(
        self,
        registry: Registry,
        worker_id: str,
        metrics: WorkerMetrics,
        every_s: float,
        machine: Callable[[], MachineState | None] = lambda: None,
        calls: ReloadRequests | None = None,
    ) -> None:
        self.worker_id = worker_id
        self._registry = registry
        self._metrics = metrics
        self._every_s = every_s
        self._machine = machine
        self._calls = calls if calls is not None else ReloadRequests()
        self._loaded = LoadedModels({}, CostModel())
        self._reloads = 0
        self._ready = False
        self._busy = False
        self._workers = 1
        self._news = asyncio.Event()

    @property
    def live_workers(self) -> int:
        """How many workers live, this one included, as seen at the last beat."""
        return self._workers

    def warm(self, loaded: LoadedModels, reloads: int = 0) -> None:
        """Say at once that jobs for these models run here, at these costs, and which call to read
        the models again they are the answer to."""
        self._loaded, self._reloads, self._ready = loaded, reloads, True
        self._metrics.serves(loaded.zoo, loaded.broken)
        self._metrics.state(self._ready, self._busy)
        self._news.set()

    def busy(self, busy: bool) -> None:
        """Say with the next beat whether a job is being run."""
        self._busy = busy
        self._metrics.state(self._ready, busy)

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Keep saying it, and at the end that the worker has left."""
        task = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await self._registry.retire_worker(self.worker_id)

    async def _beat(self) -> None:
        counted = False
        while True:
            self._news.clear()
            try:
                if not counted:
                    await self._registry.count_worker_start()
                    counted = True
                self._workers = max(1, await self._registry.publish_heartbeat(self._heartbeat()))
                self._calls.observe(await self._registry.reloads())
                self._calls.observe_models(await self._registry.requested_models())
            except Exception as error:  # a worker that falls silent gets no more work
                log.warning("cannot say that this worker lives: %s", error)
            await wait_for_event(self._news, self._every_s)

    def _heartbeat(self) -> WorkerHeartbeat:
        return WorkerHeartbeat(
            worker_id=self.worker_id,
            ready=self._ready,
            models=tuple(self._loaded.zoo),
            costs=self._loaded.costs.to_dict(),
            busy=self._busy,
            machine=self._machine(),
            capabilities=self._loaded.capabilities,
            broken=dict(self._loaded.broken),
            reloads=self._reloads,
            backends=self._loaded.backends,
        )
