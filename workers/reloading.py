"""Reloads of a running worker's models: loaded beside its jobs, swapped between two of them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from jobs.reload_requests import ReloadRequests
from models.catalog import CATALOG_FILE, one_line_reason
from workers.calibration import BetweenJobs
from workers.current_models import CurrentModels, LoadedModels
from workers.garbage import collect
from workers.heartbeat import Heartbeat
from workers.model_loader import ModelLoader

log = logging.getLogger("anysr.workers.reloading")


class Reloader:
    """Reloads the model folder on request. `between_jobs` runs a call between two jobs.

    Requests that arrive during a reload are coalesced.
    """

    def __init__(
        self,
        requests: ReloadRequests,
        loader: ModelLoader,
        current: CurrentModels,
        heartbeat: Heartbeat,
        between_jobs: BetweenJobs,
    ) -> None:
        self._requests = requests
        self._loader = loader
        self._current = current
        self._heartbeat = heartbeat
        self._between_jobs = between_jobs
        self._ending = threading.Event()

    async def run(self) -> None:
        """Handle requests until cancelled; a reload in progress then ends at its next call
        between jobs."""
        try:
            while True:
                number = await self._requests.next()
                self._current.loaded = await self._reloaded()
                collect()  # also what is left of the former models
                self._heartbeat.warm(self._current.loaded, number)
        finally:
            self._ending.set()

    async def _reloaded(self) -> LoadedModels:
        """Return the reloaded models; the current ones, with the error, if the reload failed."""
        loaded = self._current.loaded
        try:
            update = await asyncio.to_thread(
                self._loader.reload,
                loaded.models,
                dict(loaded.costs.lines),
                self._turn_unless_ending,
                self._requests.models,
            )
        except Exception as error:  # whatever it is, the current models stay
            log.error("the models cannot be reloaded, and stay as they are: %s", error)
            return replace(loaded, broken={CATALOG_FILE: one_line_reason(error)})
        fresh = loaded.updated(update.models, update.lines, update.broken)
        _log_change(loaded, fresh)
        return fresh

    def _turn_unless_ending(self, call: Callable[[], float]) -> float:
        if self._ending.is_set():
            raise RuntimeError("the worker is stopping")
        return self._between_jobs(call)


def _log_change(before: LoadedModels, after: LoadedModels) -> None:
    new = [n for n, served in after.models.items() if served.session not in _sessions(before)]
    removed = [name for name in before.models if name not in after.models]
    log.info(
        "models reloaded: new or changed: %s; removed: %s; broken: %s",
        *(", ".join(names) or "none" for names in (new, removed, after.broken)),
    )


def _sessions(loaded: LoadedModels) -> list[object]:
    return [served.session for served in loaded.models.values()]
