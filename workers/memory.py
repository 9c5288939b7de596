"""Memory that a worker has no use for is given back to the system: to others of the machine."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import Callable

from workers.calibration import Turn
from workers.runtimes.base import Holding
from workers.stock import Shelf
from workers.zoo import Zoo

log = logging.getLogger("anysr.workers.memory")

M_ARENA_MAX = -8
"""Of glibc's mallopt(3)."""

REST_S = 5.0
"""How long no job must have run before the memory that runs need is given back."""
LOOK_S = 1.0


def keep_one_heap() -> None:
    """Have all threads share one heap; to be called before there are any. With one for each, what
    one thread gave back another could not use: a worker held half as much again. Its threads seldom
    ask for memory at the same time. Does nothing where the C library is not glibc."""
    if (libc := _glibc()) is not None:
        libc.mallopt(M_ARENA_MAX, 1)


def give_back(zoo: Zoo) -> None:
    """Give back what is kept for the next runs. Nothing may run meanwhile."""
    for served in zoo.values():
        if isinstance(served.session, Holding):
            served.session.release()
    gc.collect()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


class Rest:
    """Gives memory back whenever a worker has been idle for a while. `turn` runs a call between two
    jobs; `idle_s` says for how long there was none."""

    def __init__(self, shelf: Shelf, turn: Turn, idle_s: Callable[[], float]) -> None:
        self._shelf = shelf
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
        give_back(self._shelf.stock.zoo)
        return 0.0
