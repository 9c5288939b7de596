"""The heartbeat: a worker's state, models and costs, published once a second."""

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
from workers.current_models import LoadedModels
from workers.metrics import WorkerMetrics

log = logging.getLogger("anysr.workers.heartbeat")


class Heartbeat:
    """Publishes a worker's state every `every_s` seconds while `beating`.

    `machine` returns the last known state of the machine without blocking. With each heartbeat,
    `requests` is updated with the queue's requests for reloads and for models. The first counts the
    start, and the worker before, if that hung and this one `replaces_silent`."""

    def __init__(
        self,
        registry: Registry,
        worker_id: str,
        metrics: WorkerMetrics,
        every_s: float,
        machine: Callable[[], MachineState | None] = lambda: None,
        requests: ReloadRequests | None = None,
        replaces_silent: bool = False,
    ) -> None:
        self.worker_id = worker_id
        self._registry = registry
        self._metrics = metrics
        self._every_s = every_s
        self._machine = machine
        self._requests = requests if requests is not None else ReloadRequests()
        self._replaces_silent = replaces_silent
        self._loaded = LoadedModels({}, CostModel())
        self._reloads = 0
        self._ready = False
        self._busy = False
        self._workers = 1
        self._changed = asyncio.Event()

    @property
    def live_workers(self) -> int:
        """Number of live workers at the last heartbeat, including this one."""
        return self._workers

    def warm(self, loaded: LoadedModels, reloads: int = 0) -> None:
        """Publish at once that this worker is warm with these models and costs, and the number of
        the last reload request that they satisfy."""
        self._loaded, self._reloads, self._ready = loaded, reloads, True
        self._metrics.serves(loaded.models, loaded.broken)
        self._metrics.state(self._ready, self._busy)
        self._changed.set()

    def busy(self, busy: bool) -> None:
        """Publish with the next heartbeat whether a job is running."""
        self._busy = busy
        self._metrics.state(self._ready, busy)

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Publish heartbeats while the context is entered, then remove the worker."""
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
            self._changed.clear()
            try:
                if not counted:
                    await self._registry.count_worker_start()
                    counted = True
                    if self._replaces_silent:
                        await self._registry.count_stuck_worker()
                answer = await self._registry.publish_heartbeat(self._heartbeat())
                self._workers = max(1, answer.live_workers)
                self._requests.observe(answer.reloads)
                self._requests.observe_models(answer.requested_models)
            except Exception as error:  # without heartbeats a worker gets no more work
                log.warning("cannot publish the heartbeat: %s", error)
            await wait_for_event(self._changed, self._every_s)

    def _heartbeat(self) -> WorkerHeartbeat:
        return WorkerHeartbeat(
            worker_id=self.worker_id,
            ready=self._ready,
            models=tuple(self._loaded.models),
            costs=self._loaded.costs.to_dict(),
            busy=self._busy,
            machine=self._machine(),
            capabilities=self._loaded.capabilities,
            broken=dict(self._loaded.broken),
            reloads=self._reloads,
            backends=self._loaded.backends,
        )
