"""Waiting for the end of a job, or for each of its changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from jobs.event_hub import EventHub, Subscription
from jobs.outages import REREAD_S

MISSED_S = 5.0
"""After this long without an event a job is read nevertheless: a server that took the place of
another may have lost the message."""


class JobState(Protocol):
    """A job as it was read."""

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""


S = TypeVar("S", bound=JobState)

Read = Callable[[str, Subscription | None], Awaitable[S]]
"""Reads a job by its id, after an event of its subscription or without one."""


class Waiting:
    """Reads a job after each of its events. It subscribes before it reads, so that no event in
    between is missed; a message that is lost all the same costs `MISSED_S`."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub

    async def wait(self, job_id: str, timeout_s: float, read: Read[S]) -> S:
        """Return the job once it has ended, or its state after `timeout_s`. One that was submitted
        by this process is not read before its end."""
        with self._hub.subscribe(job_id, ends_only=True) as subscription:
            state = None if self._hub.awaits(job_id) else await read(job_id, None)
            try:
                async with asyncio.timeout(timeout_s):
                    if state is not None and not state.ended:
                        self._hub.follow(job_id, subscription)
                    while state is None or not state.ended:
                        state = await _next(job_id, subscription, read)
                    return state
            except TimeoutError:
                return await read(job_id, None)

    async def watch(self, job_id: str, read: Read[S]) -> AsyncIterator[S]:
        """Yield the job's state now and at each change, to its end."""
        with self._hub.subscribe(job_id) as subscription:
            state = await read(job_id, None)
            yield state
            if not state.ended:
                self._hub.follow(job_id, subscription)
            while not state.ended:
                before, state = state, await _next(job_id, subscription, read)
                if state != before:
                    yield state


async def _next(job_id: str, subscription: Subscription, read: Read[S]) -> S:
    """Read the job again after its next event, or `MISSED_S`; repeat that during an outage."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MISSED_S):
            await subscription.changed.wait()
    subscription.changed.clear()
    while True:
        try:
            return await read(job_id, subscription)
        except ConnectionError:
            await asyncio.sleep(REREAD_S)
