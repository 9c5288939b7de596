"""How an idle process waits for work: one connection that blocks on the wake list."""

from __future__ import annotations

import asyncio
import contextlib

from redis.asyncio import Redis

LOOK_S = 1.0
"""An idle worker looks at least this often: for leases that ran out, and for a token that was
lost with the process that took it."""


class WakeupSignal:
    """The workers of a process stand in line; the first blocks in Redis, the others behind it.

    A token that the first gets is its own to use up. There is one token for however many jobs
    wait: each claim that leaves some behind puts one back, which wakes the next.
    """

    def __init__(self, client: Redis, wake: str) -> None:
        self._client = client
        self._wake = wake
        self._first = asyncio.Lock()

    async def wait(self, wait_s: float, stopping: asyncio.Event | None = None) -> bool:
        """Return True when there may be work, at most `wait_s` or LOOK_S later, and False at
        once when `stopping` is set first."""
        if stopping is None:
            await self._in_line(wait_s)
            return True
        waiting = asyncio.create_task(self._in_line(wait_s))
        told = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((waiting, told), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return False
            await waiting
            return True
        finally:
            # A token that comes in this very moment is lost, as with a worker that dies.
            for task in (waiting, told):
                task.cancel()
            await asyncio.gather(waiting, told, return_exceptions=True)

    async def _in_line(self, wait_s: float) -> None:
        clock = asyncio.get_running_loop()
        until = clock.time() + min(wait_s, LOOK_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._first.acquire()
            try:
                # Zero would mean for ever.
                await self._client.blpop([self._wake], max(until - clock.time(), 0.01))
            finally:
                self._first.release()
