"""Wake-ups for idle workers, each by jobs that it can run: a connection blocks on the lists of what
it meets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from redis.exceptions import ResponseError

from jobs.connection import Command, SteadyRedis
from jobs.keys import Keys
from jobs.outages import OUTAGES
from jobs.scripts import Argument, Scripts, Step

POLL_S = 5.0
"""Longest time between two attempts of an idle worker: heartbeats look after what nobody is woken
for (lua/heartbeat.lua)."""


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
    """The workers of a process that meet the same requirements wait in line; the first blocks in
    Redis, the others behind it.

    A list has one token however many jobs wait. The worker that gets it runs a step that claims a
    job, which Redis runs in the same round trip; a claim that leaves jobs behind puts the token
    back, which wakes the next worker.
    """

    def __init__(self, client: SteadyRedis, scripts: Scripts, keys: Keys) -> None:
        self._client = client
        self._scripts = scripts
        self._keys = keys
        self._first: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        """Held by the first of each line, by the lists on which it blocks."""

    async def run(
        self,
        wait_s: float,
        until: Sequence[asyncio.Event],
        met: Sequence[str],
        step: Step,
        *arguments: Argument,
    ) -> Any:
        """Run a step when there may be work for a worker that meets these requirements (all if none
        is named), after at most `wait_s` or `POLL_S`, and return its answer.

        A worker that blocks in Redis runs the step as soon as one of the events in `until` is set;
        one behind it then returns None and does not run it.
        """
        blocked = _Blocked()
        waiting = asyncio.create_task(
            self._in_line(blocked, self._lists(met), wait_s, step, arguments)
        )
        interrupts = [asyncio.create_task(event.wait()) for event in until]
        try:
            await asyncio.wait((waiting, *interrupts), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                if not blocked.sent:
                    return None
                await self._unblock(blocked, waiting)
            return await waiting
        finally:
            for task in (waiting, *interrupts):
                task.cancel()
            await asyncio.gather(waiting, *interrupts, return_exceptions=True)

    def _lists(self, met: Sequence[str]) -> tuple[str, ...]:
        named = [self._keys.wake_for(requirement) for requirement in met] or [self._keys.wake_any]
        return (*named, self._keys.wake_sweep)

    async def _in_line(
        self,
        blocked: _Blocked,
        lists: tuple[str, ...],
        wait_s: float,
        step: Step,
        arguments: tuple[Argument, ...],
    ) -> Any:
        clock = asyncio.get_running_loop()
        until = clock.time() + min(wait_s, POLL_S)
        first = self._first.setdefault(lists, asyncio.Lock())
        try:
            async with asyncio.timeout_at(until):
                await first.acquire()
        except TimeoutError:
            return await self._scripts.run(step, *arguments)
        try:
            blocked.sent = True
            # Zero would block for ever.
            blocking: Command = ("BLPOP", *lists, max(until - clock.time(), 0.01))
            before = (("CLIENT ID",), blocking)
            return await self._scripts.run_after(before, step, *arguments, on_first=blocked.learn)
        finally:
            first.release()

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
