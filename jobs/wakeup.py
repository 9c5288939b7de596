"""Wake-ups for idle workers: one connection per process blocks on the wake list."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.exceptions import ResponseError

from jobs.connection import SteadyRedis
from jobs.outages import OUTAGES
from jobs.scripts import Argument, Scripts, Step

POLL_S = 1.0
"""Longest time between two polls of an idle worker: for expired leases, and in case a token was
lost with the process that took it."""


class _Blocked:
    """The connection on which a worker blocks, once that is known."""

    def __init__(self) -> None:
        self.sent = False
        self.known = asyncio.Event()
        self.client_id: int | None = None
        """None before `known`, and where the server does not tell."""

    def learn(self, answer: Any) -> None:
        """Read the answer to CLIENT ID; another one follows if the connection was made again."""
        self.client_id = answer if isinstance(answer, int) else None
        self.known.set()


class WakeupSignal:
    """The workers of a process wait in line; the first blocks in Redis, the others behind it.

    There is one token however many jobs wait. The worker that gets it runs a step that claims a
    job, which Redis runs in the same round trip; a claim that leaves jobs behind puts the token
    back, which wakes the next worker.
    """

    def __init__(self, client: SteadyRedis, scripts: Scripts, wake: str) -> None:
        self._client = client
        self._scripts = scripts
        self._wake = wake
        self._first = asyncio.Lock()

    async def run(
        self, wait_s: float, stopping: asyncio.Event | None, step: Step, *arguments: Argument
    ) -> Any:
        """Run a step when there may be work, after at most `wait_s` or `POLL_S`, and return its
        answer.

        A worker that blocks in Redis runs the step as soon as `stopping` is set; one behind it then
        returns None and does not run it.
        """
        blocked = _Blocked()
        waiting = asyncio.create_task(self._in_line(blocked, wait_s, step, arguments))
        if stopping is None:
            return await waiting
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((waiting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                if not blocked.sent:
                    return None
                await self._unblock(blocked, waiting)
            return await waiting
        finally:
            for task in (waiting, stopped):
                task.cancel()
            await asyncio.gather(waiting, stopped, return_exceptions=True)

    async def _in_line(
        self, blocked: _Blocked, wait_s: float, step: Step, arguments: tuple[Argument, ...]
    ) -> Any:
        clock = asyncio.get_running_loop()
        until = clock.time() + min(wait_s, POLL_S)
        try:
            async with asyncio.timeout_at(until):
                await self._first.acquire()
        except TimeoutError:
            return await self._scripts.run(step, *arguments)
        try:
            blocked.sent = True
            # Zero would block for ever.
            blocking = ("BLPOP", self._wake, max(until - clock.time(), 0.01))
            before = (("CLIENT ID",), blocking)
            return await self._scripts.run_after(before, step, *arguments, on_first=blocked.learn)
        finally:
            self._first.release()

    async def _unblock(self, blocked: _Blocked, waiting: asyncio.Task[Any]) -> None:
        """End the wait in Redis. The connection is not closed instead: the server might just have
        claimed a job on it, which would then run only when its lease has expired. Where the server
        refuses, the wait ends by itself, after `POLL_S` at most."""
        known = asyncio.create_task(blocked.known.wait())
        try:
            await asyncio.wait((known, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            known.cancel()
        if blocked.client_id is not None and not waiting.done():
            with contextlib.suppress(ResponseError, *OUTAGES):
                await self._client.execute_command("CLIENT UNBLOCK", blocked.client_id)
