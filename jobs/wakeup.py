"""Wake-ups for idle workers: one connection per process blocks on the wake list."""

from __future__ import annotations

import asyncio
import contextlib

from redis.asyncio import Redis

POLL_S = 1.0
"""Longest time between two polls of an idle worker: for expired leases, and in case a token was
lost with the process that took it."""


class WakeupSignal:
    """The workers of a process wait in line; the first blocks in Redis, the others behind it.

    There is one token however many jobs wait. The worker that gets it claims a job; a claim that
    leaves jobs behind puts the token back, which wakes the next worker.
    """

    def __init__(self, client: Redis, wake: str) -> None:
        self._client = client
        self._wake = wake
        self._first = asyncio.Lock()

    async def wait(self, wait_s: float, stopping: asyncio.Event | None = None) -> bool:
        """Return True when there may be work, after at most `wait_s` or `POLL_S`, and False as soon
        as `stopping` is set."""
        if stopping is None:
            await self._in_line(wait_s)
            return True
        waiting = asyncio.create_task(self._in_line(wait_s))
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((waiting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return False
            await waiting
            return True
        finally:
            # A token that arrives at this moment is lost, as when a worker dies.
            for task in (waiting, stopped):
                task.cancel()
            await asyncio.gather(waiting, stopped, return_exceptions=True)

    async def _in_line(self, wait_s: float) -> None:
        clock = asyncio.get_running_loop()
        until = clock.time() + min(wait_s, POLL_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._first.acquire()
            try:
                # Zero would block for ever.
                await self._client.blpop([self._wake], max(until - clock.time(), 0.01))
            finally:
                self._first.release()
