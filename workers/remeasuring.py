"""Repeated measurement of disturbed costs while the worker is idle and the machine quiet.

Measurements are short and run one at a time on the thread that runs jobs. A job that arrives waits
for the current one; the others wait until the worker has been idle again for a while.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping

from scheduling.cost_line import Line
from workers.calibration import BetweenJobs
from workers.calibration_cache import needs_of, remeasured_lines
from workers.current_models import CurrentModels, LoadedModels
from workers.disturbance import Needs, Reading, read_usage, used
from workers.model_loader import ModelLoader

log = logging.getLogger("anysr.workers.remeasuring")

POLL_S = 1.0
"""Interval between two readings of the machine's counters."""
IDLE_S = 2.0
"""How long the worker must have been idle: longer than the pauses of a caller who sends one picture
after the other."""
FIRST_PAUSE_S, MAX_PAUSE_S = 10.0, 600.0
"""After a measurement that was disturbed again: doubled each time, with a random factor of up to 2,
so that two workers of one machine do not keep disturbing each other."""


class Lull:
    """Detects that the worker is idle and the machine quiet."""

    def __init__(
        self,
        needs: Needs,
        idle_s: Callable[[], float],
        read: Callable[[], Reading] = read_usage,
    ) -> None:
        self._needs = needs
        self._idle_s = idle_s
        self._read = read
        self._last = read()
        self._quiet = False

    def now(self) -> bool:
        """Return whether it is so now, after a new reading if one is due."""
        reading = self._read()
        if reading.wall - self._last.wall >= POLL_S:
            self._quiet = self._needs.crowded(used(self._last, reading)) is None
            self._last = reading
        return self._quiet and self._idle_s() >= IDLE_S


class Remeasurer:
    """Measures costs that are marked as disturbed. `between_jobs` runs a call between two jobs;
    `idle_s` returns how long the worker has been idle."""

    def __init__(
        self,
        loader: ModelLoader,
        current: CurrentModels,
        between_jobs: BetweenJobs,
        idle_s: Callable[[], float],
        read: Callable[[], Reading] = read_usage,
    ) -> None:
        self._loader = loader
        self._current = current
        self._between_jobs = between_jobs
        self._lull = Lull(needs_of(loader.settings), idle_s, read)
        self._ending = threading.Event()

    async def run(self) -> None:
        """Measure disturbed costs in every lull until cancelled; a measurement then ends at its
        next call between jobs."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                await asyncio.sleep(POLL_S)
                if not (self._current.loaded.costs.disturbed and self._lull.now()):
                    continue
                if await self._remeasure():
                    pause_s = FIRST_PAUSE_S
                else:
                    await asyncio.sleep(pause_s * random.uniform(1, 2))
                    pause_s = min(2 * pause_s, MAX_PAUSE_S)
        finally:
            self._ending.set()

    async def _remeasure(self) -> bool:
        """Measure, and return whether no cost is disturbed any more."""
        loaded, since = self._current.loaded, time.perf_counter()
        before = dict(loaded.costs.lines)
        try:
            lines = await asyncio.to_thread(self._measured, loaded, before)
        except Exception as error:  # the worker continues with the costs that it has
            log.error("costs cannot be remeasured: %s", error)
            return False
        if self._current.loaded is not loaded or any(line.disturbed for line in lines.values()):
            return False
        loaded.costs.renew({k: line for k, line in lines.items() if line is not before.get(k)})
        passed_s = time.perf_counter() - since
        log.info("costs are now those of a quiet machine, measured within %.1f s", passed_s)
        return True

    def _measured(self, loaded: LoadedModels, before: Mapping[str, Line]) -> dict[str, Line]:
        settings, folder = self._loader.settings, self._loader.costs_folder
        return remeasured_lines(loaded.models, before, settings, folder, self._in_lull)

    def _in_lull(self, call: Callable[[], float]) -> float:
        """Run a call between two jobs in a lull."""
        while not self._lull.now():
            self._wait()
        return self._between_jobs(call)

    def _wait(self) -> None:
        if self._ending.wait(POLL_S / 4):
            raise RuntimeError("the worker is stopping")
