"""One pub/sub connection per process, shared out to all who wait for a job.

Nothing that matters travels here: an event only says "read this job again". After each
(re)connection all waiters are told so, hence none misses what happened in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from jobs.job import TERMINAL_STATUSES

RECONNECT_S = 0.2
SILENCE_S = 10.0
"""After this long without a word the server is asked whether it is still there."""

ENDED = frozenset(status.value for status in TERMINAL_STATUSES)


class Listener:
    """One waiter's ear: `changed` is set when the job should be read again."""

    def __init__(self, ends_only: bool) -> None:
        self.changed = asyncio.Event()
        self.ends_only = ends_only


class EventHub:
    """Hears of every change of every job, and wakes those who wait for that one."""

    def __init__(self, client: Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._listeners: dict[str, set[Listener]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listen(self, job_id: str, ends_only: bool = False) -> Iterator[Listener]:
        """Hear of one job, or only of its end. Read the job after this, not before."""
        self._start()
        listener = Listener(ends_only)
        listeners = self._listeners.setdefault(job_id, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(job_id) is listeners:
                del self._listeners[job_id]

    async def close(self) -> None:
        """Stop hearing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="job-events")

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._client.pubsub() as pubsub:
                    await self._hear(pubsub)
            await asyncio.sleep(RECONNECT_S)

    async def _hear(self, pubsub: PubSub) -> None:
        """Deliver until the connection is found dead."""
        async with asyncio.timeout(SILENCE_S):
            await pubsub.subscribe(self._channel)
        asked = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE_S)
            if message is not None:
                self._deliver(message)
                asked = False
            elif asked:
                return
            else:
                await pubsub.ping()
                asked = True

    def _deliver(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            for listeners in self._listeners.values():
                for listener in listeners:
                    listener.changed.set()
        elif message["type"] == "message":
            status, _, job_id = message["data"].decode(errors="replace").partition(":")
            for listener in self._listeners.get(job_id, ()):
                if status in ENDED or not listener.ends_only:
                    listener.changed.set()
