"""Keeps the load low: callers wait while the service has had more processor time than planned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOK_S = 0.2
MOST_SAVED_S = 2.0
"""Processor time that may be made up for, after a time without load."""
MOST_OWED_S = 30.0
"""Processor time that is waited for at most: a first request loads its model."""


class Pace:
    """An account of processor time, which fills at `cores` seconds a second."""

    def __init__(
        self, cores: float, now: Callable[[], float], spent_s: Callable[[], float]
    ) -> None:
        self._cores = cores
        self._now = now
        self._spent_s = spent_s
        self._saved_s = 0.0
        self._last = now(), spent_s()

    async def wait(self) -> None:
        """Return when the account is not in debt."""
        await asyncio.sleep(LOOK_S)
        while self._account() < 0:  # noqa: ASYNC110 - nobody tells when it is not
            await asyncio.sleep(LOOK_S)

    def _account(self) -> float:
        at, spent_s = self._now(), self._spent_s()
        since, before_s = self._last
        self._last = at, spent_s
        saved_s = self._saved_s + self._cores * (at - since) - (spent_s - before_s)
        self._saved_s = min(MOST_SAVED_S, max(-MOST_OWED_S, saved_s))
        return self._saved_s
