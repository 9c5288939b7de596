"""Memory that requests leave behind, given up between them.

Objects of a request that refer to each other wait for a full collection, and those start once there
are many: under a low load that took hours. Freed blocks stay in malloc's heap, below others that
are in use. A gateway therefore collects and trims when no request was answered for a moment. What
has lived since its start is exempt (`service.main`). On two busy cores it takes 8 to 25 ms, of
which the trimming takes less than one.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

from images.malloc import trim

POLL_S = 1.0
"""Without an answer to any request for so long, a gateway rests."""
PERIOD_S = 30.0
"""From one release to the next, at least: monitoring asks every few seconds."""


def release_memory() -> None:
    """Free unreachable objects, and return free memory to the system."""
    gc.collect()
    trim()


class IdleMemory:
    """Releases memory at most once in `PERIOD_S`, when the gateway rests. `answered` counts
    requests that were answered; `clock` counts seconds."""

    def __init__(
        self, answered: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._answered = answered
        self._clock = clock

    async def run(self) -> None:
        """Look every `POLL_S`, until cancelled."""
        seen, released_at = self._answered(), self._clock()
        while True:
            await asyncio.sleep(POLL_S)
            before, seen = seen, self._answered()
            if seen == before and self._clock() - released_at >= PERIOD_S:
                release_memory()
                released_at = self._clock()
