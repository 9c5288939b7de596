"""Moments in which this process was suspended, while the service went on."""

from __future__ import annotations

import asyncio
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TICK_S = 0.5
SUSPENDED_S = 3.0
"""A longer time between two ticks is a pause; a busy machine delays a tick by less."""


@dataclass(frozen=True)
class Pause:
    """Seconds since the start."""

    began: float
    ended: float


class PauseWatch:
    """Notices pauses."""

    def __init__(self, now: Callable[[], float], on_pause: Callable[[Pause], None]) -> None:
        self._now = now
        self._on_pause = on_pause

    async def run(self) -> None:
        """Tick until cancelled."""
        last = self._now()
        while True:
            await asyncio.sleep(TICK_S)
            at = self._now()
            if at - last > SUSPENDED_S:
                self._on_pause(Pause(last, at))
            last = at


def clock() -> Callable[[], float]:
    """Return a function that returns the seconds since now, also those of pauses."""
    began = time.monotonic()
    return lambda: time.monotonic() - began


def read_pauses(path: Path) -> list[Pause]:
    """Return the pauses of a file."""
    with path.open(newline="") as file:
        return [Pause(*map(float, line)) for line in csv.reader(file)]


def overlaps(pauses: list[Pause], began: float, ended: float) -> bool:
    """Return whether one of the pauses fell into a time, of which nothing is known then."""
    return any(pause.began < ended and began < pause.ended for pause in pauses)
