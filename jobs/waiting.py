"""Waiting for a job: to its end, or for each of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from jobs.event_hub import EventHub
from jobs.job import TERMINAL_STATUSES, JobView

REREAD_S = 0.2
"""Pause before a job is read again that an outage kept from being read."""


class Waiting:
    """Reads a job when the hub hears of it. It listens first and reads then, so that nothing
    can happen in between unnoticed."""

    def __init__(self, hub: EventHub, view: Callable[[str], Awaitable[JobView]]) -> None:
        self._hub = hub
        self._view = view

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        """Return the job when it has ended, or as it is after `timeout_s`."""
        with self._hub.listen(job_id, ends_only=True) as listener:
            view = await self._view(job_id)
            try:
                async with asyncio.timeout(timeout_s):
                    while view.status not in TERMINAL_STATUSES:
                        view = await self._next(job_id, listener.changed)
                    return view
            except TimeoutError:
                return await self._view(job_id)

    async def watch(self, job_id: str) -> AsyncIterator[JobView]:
        """Yield the job now and at each change, to its end."""
        with self._hub.listen(job_id) as listener:
            view = await self._view(job_id)
            yield view
            while view.status not in TERMINAL_STATUSES:
                before, view = view, await self._next(job_id, listener.changed)
                if view != before:
                    yield view

    async def _next(self, job_id: str, changed: asyncio.Event) -> JobView:
        """Read the job again when there is reason to, and until it can be read."""
        await changed.wait()
        changed.clear()
        while True:
            try:
                return await self._view(job_id)
            except ConnectionError:
                await asyncio.sleep(REREAD_S)
