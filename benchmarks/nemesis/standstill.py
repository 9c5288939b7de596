"""Time in which everything stood still: the machine, or whoever suspends all of a run."""

from __future__ import annotations

import asyncio

from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Recorder, What

STALL_S = 1.0
"""Without a turn for so long, this process can say nothing of the others."""
TICK_S = 0.1


class Standstill:
    """Records each, and keeps the time of a run, in which none of them counts."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last = recorder.now()
        self._total_s = 0.0

    async def watch(self) -> None:
        """Record each standstill as a fault, until cancelled."""
        while True:
            self._tick()
            await asyncio.sleep(TICK_S)

    async def until(self, at_s: float) -> None:
        """Return once the run has gone on for `at_s`. Faults that were due in a standstill would
        all come at once after it."""
        while self._tick() < at_s:  # noqa: ASYNC110 - the clock's state
            await asyncio.sleep(TICK_S)

    def _tick(self) -> float:
        now = self._recorder.now()
        if now - self._last > STALL_S:
            self._total_s += now - self._last
            self._recorder.add(What.FAULT, at=self._last, until=now, text=Kind.STALL.value)
        self._last = now
        return now - self._total_s
