"""Release of the memory kept for the next runs while a worker is idle."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

from workers.allocator import trim
from workers.calibration import Turn
from workers.loaded_model import Zoo
from workers.model_slot import ModelSlot
from workers.runtimes.base import Releasing

IDLE_S = 5.0
"""How long a worker must have been idle."""
POLL_S = 1.0


def release_memory(zoo: Zoo) -> None:
    """Free the memory that sessions keep for their next runs. Not to be called during a run."""
    for served in zoo.values():
        if isinstance(served.session, Releasing):
            served.session.release()
    gc.collect()
    trim()


class IdleMemoryRelease:
    """Releases memory once in every idle period of a worker. `turn` runs a call between two jobs;
    `idle_s` returns how long the worker has been idle."""

    def __init__(self, slot: ModelSlot, turn: Turn, idle_s: Callable[[], float]) -> None:
        self._slot = slot
        self._turn = turn
        self._idle_s = idle_s

    async def run(self) -> None:
        """Poll every second, until cancelled."""
        released = False
        while True:
            await asyncio.sleep(POLL_S)
            idle = self._idle_s() >= IDLE_S
            if idle and not released:
                await asyncio.to_thread(self._turn, self._release)
            released = idle

    def _release(self) -> float:
        release_memory(self._slot.loaded.zoo)
        return 0.0
