"""Memory that a worker gives up while it is idle: first that of its runs, then its networks.

Networks that were unloaded are loaded again beside the first jobs. A job's width is chosen with the
time to load it (`CostModel.loading`), so no budget is missed for it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from collections.abc import Callable

from images.malloc import trim
from workers.calibration import BetweenJobs
from workers.current_models import CurrentModels
from workers.garbage import collect
from workers.loaded_model import ModelsByName
from workers.mapped_files import unmap_unchanged_pages
from workers.runtimes.base import Releasing, Unloading
from workers.unloading import spare_networks

log = logging.getLogger("anysr.workers.idle_memory")

IDLE_S = 5.0
"""How long a worker must have been idle to release the memory of its runs."""
POLL_S = 1.0
RETRY_S = 10.0
"""Pause after a network could not be loaded: memory may be short."""


def release_memory(models: ModelsByName) -> None:
    """Free the memory that sessions keep for their next runs. Not to be called during a run."""
    for served in models.values():
        if isinstance(served.session, Releasing):
            served.session.release()
    gc.collect()
    trim()


def unload(networks: list[Unloading]) -> None:
    """Take networks out of memory. Not to be called during a run."""
    for network in networks:
        network.unload()
    collect()
    trim()
    unmap_unchanged_pages()


class IdleMemory:
    """Releases memory once in every idle period of a worker, and again after measurements in it;
    unloads its networks once it has been idle for `unload_s`. `between_jobs` runs a call between
    two jobs; `idle_s` returns how long the worker has been idle; `clock` counts seconds."""

    def __init__(
        self,
        current: CurrentModels,
        between_jobs: BetweenJobs,
        idle_s: Callable[[], float],
        unload_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current = current
        self._between_jobs = between_jobs
        self._idle_s = idle_s
        self._unload_s = unload_s
        self._clock = clock
        self._measured = -math.inf

    def measuring(self, call: Callable[[], float]) -> float:
        """Run a measurement between two jobs: the memory that it leaves is released after a while
        as that of a job is, and not between two measurements, which would then take longer."""
        try:
            return self._between_jobs(call)
        finally:
            self._measured = self._clock()

    async def run(self) -> None:
        """Poll every second, until cancelled."""
        released = False
        while True:
            await asyncio.sleep(POLL_S)
            idle_s = self._idle_s()
            rested = min(idle_s, self._clock() - self._measured) >= IDLE_S
            if rested and not released:
                await self._run_between_jobs(lambda: release_memory(self._current.loaded.models))
            released = rested
            if idle_s >= self._unload_s:
                await self._unload()
            else:
                await self._load()

    async def _unload(self) -> None:
        networks = [network for network in self._spare() if network.loaded]
        if networks:
            await self._run_between_jobs(lambda: unload(networks))

    async def _load(self) -> None:
        """Load what was unloaded, one network after the other, beside the jobs."""
        for network in self._spare():
            if network.loaded:
                continue
            try:
                await asyncio.to_thread(network.load)
            except Exception as error:  # a job that needs it tries again
                log.error("a network could not be loaded again: %s", error)
                await asyncio.sleep(RETRY_S)
                return

    def _spare(self) -> list[Unloading]:
        return spare_networks(self._current.loaded.models, self._current.loaded.costs)

    async def _run_between_jobs(self, call: Callable[[], None]) -> None:
        def timed() -> float:
            call()
            return 0.0

        await asyncio.to_thread(self._between_jobs, timed)
