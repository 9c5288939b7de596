"""Waiting for a job: to its end, or for each of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from jobs.event_hub import EventHub, Subscription

REREAD_S = 0.2
"""Pause before a job is read again that an outage kept from being read."""


class Seen(Protocol):
    """What is read of a job."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""


S = TypeVar("S", bound=Seen)

Read = Callable[[str, int | None], Awaitable[S]]
"""Reads a job by its id; the token is that of the claim that is said to have ended it."""


class Waiting:
    """Reads a job when the hub hears of it. It listens first and reads then, so that nothing
    can happen in between unnoticed."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub

    async def wait(
        self, job_id: str, timeout_s: float, read: Read[S], submitted: float | None = None
    ) -> S:
        """Return the job when it has ended, or as it is after `timeout_s`. One that was submitted
        after a moment of time.monotonic() need not be read before its end."""
        with self._hub.listen(job_id, ends_only=True) as listener:
            seen = None
            if submitted is None or not self._hub.still_runs(job_id, submitted):
                seen = await read(job_id, None)
            try:
                async with asyncio.timeout(timeout_s):
                    while seen is None or not seen.ended:
                        seen = await _next(job_id, listener, read)
                    return seen
            except TimeoutError:
                return await read(job_id, None)

    async def watch(self, job_id: str, read: Read[S]) -> AsyncIterator[S]:
        """Yield the job now and at each change, to its end."""
        with self._hub.listen(job_id) as listener:
            seen = await read(job_id, None)
            yield seen
            while not seen.ended:
                before, seen = seen, await _next(job_id, listener, read)
                if seen != before:
                    yield seen


async def _next(job_id: str, listener: Subscription, read: Read[S]) -> S:
    """Read the job again when there is reason to, and until it can be read."""
    await listener.changed.wait()
    listener.changed.clear()
    while True:
        try:
            return await read(job_id, listener.token)
        except ConnectionError:
            await asyncio.sleep(REREAD_S)
