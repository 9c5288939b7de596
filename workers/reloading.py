"""New models for a worker that runs: loaded beside the jobs, exchanged between them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from jobs.reload_requests import ReloadRequests
from models.catalog import CATALOG_FILE, one_line_reason
from workers.calibration import Turn
from workers.heartbeat import Heartbeat
from workers.model_loader import ModelLoader
from workers.model_slot import LoadedModels, ModelSlot

log = logging.getLogger("anysr.workers.reloading")


class Reloader:
    """Answers each call by a reading of the folder. `turn` runs a call between two jobs."""

    def __init__(
        self,
        calls: ReloadRequests,
        loader: ModelLoader,
        slot: ModelSlot,
        heartbeat: Heartbeat,
        turn: Turn,
    ) -> None:
        self._calls = calls
        self._loader = loader
        self._slot = slot
        self._heartbeat = heartbeat
        self._turn = turn
        self._ending = threading.Event()

    async def run(self) -> None:
        """Answer calls for ever; once cancelled, the reading in progress ends at its next turn."""
        try:
            while True:
                number = await self._calls.next()
                self._slot.loaded = await self._restocked()
                self._heartbeat.warm(self._slot.loaded, number)
        finally:
            self._ending.set()

    async def _restocked(self) -> LoadedModels:
        """Return the next loaded; the one that runs, with what is wrong, when there is none."""
        loaded = self._slot.loaded
        try:
            delivery = await asyncio.to_thread(
                self._loader.next,
                loaded.zoo,
                dict(loaded.costs.lines),
                self._while_running,
                self._calls.models,
            )
        except Exception as error:  # whatever it is: the models that run are to run on
            log.error("the models cannot be read again, and stay as they are: %s", error)
            return replace(loaded, broken={CATALOG_FILE: one_line_reason(error)})
        fresh = loaded.exchanged(delivery.zoo, delivery.lines, delivery.broken)
        _log_change(loaded, fresh)
        return fresh

    def _while_running(self, call: Callable[[], float]) -> float:
        if self._ending.is_set():
            raise RuntimeError("the worker is stopping")
        return self._turn(call)


def _log_change(before: LoadedModels, after: LoadedModels) -> None:
    new = [n for n, served in after.zoo.items() if served.session not in _sessions(before)]
    gone = [name for name in before.zoo if name not in after.zoo]
    log.info(
        "models read again: new or changed: %s; gone: %s; broken: %s",
        *(", ".join(names) or "none" for names in (new, gone, after.broken)),
    )


def _sessions(loaded: LoadedModels) -> list[object]:
    return [served.session for served in loaded.zoo.values()]
