"""What runs need of memory is given back while there are none: to others of the machine."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from workers.allocator import trim
from workers.calibration import Turn
from workers.loaded_model import Zoo
from workers.model_slot import ModelSlot
from workers.runtimes.base import Releasing

REST_S = 5.0
"""How long no job must have run before."""
LOOK_S = 1.0


def give_back(zoo: Zoo) -> None:
    """Give back what is kept for the next runs. Nothing may run meanwhile."""
    for served in zoo.values():
        if isinstance(served.session, Releasing):
            served.session.release()
    gc.collect()
    trim()


class Rest:
    """Gives memory back whenever a worker has been idle for a while. `turn` runs a call between two
    jobs; `idle_s` says for how long there was none."""

    def __init__(self, slot: ModelSlot, turn: Turn, idle_s: Callable[[], float]) -> None:
        self._slot = slot
        self._turn = turn
        self._idle_s = idle_s

    async def run(self) -> None:
        """Look every second; give back once for each time of rest."""
        rested = False
        while True:
            await asyncio.sleep(LOOK_S)
            resting = self._idle_s() >= REST_S
            if resting and not rested:
                await asyncio.to_thread(self._turn, self._give_back)
            rested = resting

    def _give_back(self) -> float:
        give_back(self._slot.loaded.zoo)
        return 0.0
