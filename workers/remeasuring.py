"""Costs that others disturbed, measured again when the worker is idle and the machine quiet.

One short measurement at a time, on the thread that makes pictures: a job that comes meanwhile waits
for the one that runs, and the rest waits until the worker has been idle again for a while.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping

from scheduling.cost_model import Line
from workers.calibration import Turn
from workers.calibration_cache import lines_again, needs_of
from workers.disturbance import Needs, Reading, read_usage, used
from workers.model_loader import ModelLoader
from workers.model_slot import LoadedModels, ModelSlot

log = logging.getLogger("anysr.workers.remeasuring")

LOOK_S = 1.0
"""Between two looks at the machine."""
IDLE_S = 2.0
"""How long no job must have run: callers who send one picture after the other pause for less."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0
"""After a measurement that was disturbed again: doubled each time, and up to twice that by chance,
for two workers of one machine that get in each other's way."""


class Lull:
    """Knows whether the worker is idle and the machine was quiet when it was last looked at."""

    def __init__(
        self,
        needs: Needs,
        idle_s: Callable[[], float],
        read: Callable[[], Reading] = read_usage,
    ) -> None:
        self._needs = needs
        self._idle_s = idle_s
        self._read = read
        self._seen = read()
        self._quiet = False

    def now(self) -> bool:
        """Look again, if it is time, and answer."""
        reading = self._read()
        if reading.wall - self._seen.wall >= LOOK_S:
            self._quiet = self._needs.crowded(used(self._seen, reading)) is None
            self._seen = reading
        return self._quiet and self._idle_s() >= IDLE_S


class Remeasurer:
    """Measures what is marked as disturbed. `turn` runs a call between two jobs; `idle_s` says for
    how long there was none."""

    def __init__(
        self,
        loader: ModelLoader,
        slot: ModelSlot,
        turn: Turn,
        idle_s: Callable[[], float],
        read: Callable[[], Reading] = read_usage,
    ) -> None:
        self._loader = loader
        self._slot = slot
        self._turn = turn
        self._lull = Lull(needs_of(loader.settings), idle_s, read)
        self._ending = threading.Event()

    async def run(self) -> None:
        """Measure whenever there is need and peace; once cancelled, the measurement in progress
        ends at its next turn."""
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                if not (self._slot.loaded.costs.disturbed and self._lull.now()):
                    continue
                if await self._renewed():
                    pause_s = FIRST_PAUSE_S
                else:
                    await asyncio.sleep(pause_s * random.uniform(1, 2))
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._ending.set()

    async def _renewed(self) -> bool:
        """Measure, and return whether the costs are now those of a quiet machine."""
        loaded, since = self._slot.loaded, time.perf_counter()
        known = dict(loaded.costs.lines)
        try:
            lines = await asyncio.to_thread(self._measured, loaded, known)
        except Exception as error:  # the worker runs on with the costs that it has
            log.error("costs cannot be measured again: %s", error)
            return False
        if self._slot.loaded is not loaded or any(line.disturbed for line in lines.values()):
            return False
        loaded.costs.renew({k: line for k, line in lines.items() if line is not known.get(k)})
        passed_s = time.perf_counter() - since
        log.info("costs are now those of a quiet machine, measured within %.1f s", passed_s)
        return True

    def _measured(self, loaded: LoadedModels, known: Mapping[str, Line]) -> dict[str, Line]:
        place = self._loader.settings, self._loader.costs_folder
        return lines_again(loaded.zoo, known, *place, self._in_a_lull)

    def _in_a_lull(self, call: Callable[[], float]) -> float:
        """Run a call between two jobs, when it disturbs none and is not disturbed."""
        while not self._lull.now():
            self._wait()
        return self._turn(call)

    def _wait(self) -> None:
        if self._ending.wait(LOOK_S / 4):
            raise RuntimeError("the worker is stopping")
