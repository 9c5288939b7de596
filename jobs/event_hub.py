"""One pub/sub connection per process, shared out to all who wait for a job.

Nothing that matters travels here: an event only says "read this job again", and where its result
should be. After each (re)connection all waiters are told so, hence none misses what happened in
between. The ends of all jobs are heard, the changes before them only while somebody watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

RECONNECT_S = 0.2
SILENCE_S = 10.0
"""After this long without a word the server is asked whether it is still there."""
REMEMBERED = 1024
"""Ends that are remembered, for those who begin to wait just after."""


class Subscription:
    """One waiter's ear: `changed` is set when the job should be read again."""

    def __init__(self, ends_only: bool) -> None:
        self.changed = asyncio.Event()
        self.ends_only = ends_only
        self.token: int | None = None
        """Of the claim that is said to have ended the job."""


class EventHub:
    """Hears of the ends and changes of jobs, and wakes those who wait for that one."""

    def __init__(self, client: Redis, ended: str, changes: str) -> None:
        self._client = client
        self._ended = ended
        self._changes = changes
        self._listeners: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None
        self._watched = asyncio.Event()
        """Set once somebody listens for changes before an end."""
        self._latest: dict[str, float] = {}
        """The jobs whose ends were heard last, oldest first, and when."""
        self._complete_since = math.inf
        """Since this moment of time.monotonic() all ends were heard, and are remembered."""

    def start(self) -> None:
        """Begin to hear, unless that has begun."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="job-events")

    def still_runs(self, job_id: str, since: float) -> bool:
        """Return whether a job surely had not ended until now that was submitted after `since`, a
        moment of time.monotonic()."""
        return self._complete_since <= since and job_id not in self._latest

    @contextlib.contextmanager
    def listen(self, job_id: str, ends_only: bool = False) -> Iterator[Subscription]:
        """Hear of one job, or only of its end. Read the job after this, not before."""
        self.start()
        listener = Subscription(ends_only)
        listeners = self._listeners.setdefault(job_id, set())
        listeners.add(listener)
        if not ends_only:
            self._watched.set()
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

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._client.pubsub() as pubsub:
                    await self._hear(pubsub)
            self._complete_since = math.inf
            await asyncio.sleep(RECONNECT_S)

    async def _hear(self, pubsub: PubSub) -> None:
        """Deliver until the connection is found dead."""
        async with asyncio.timeout(SILENCE_S):
            await pubsub.subscribe(self._ended)
        following = asyncio.create_task(self._follow_changes(pubsub))
        try:
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
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow_changes(self, pubsub: PubSub) -> None:
        """Subscribe to the changes once somebody watches; for good, as who has watchers will have
        them again."""
        await self._watched.wait()
        await pubsub.subscribe(self._changes)

    def _deliver(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._subscribed(message["channel"].decode())
        elif message["type"] == "message":
            _, _, rest = message["data"].decode(errors="replace").partition(":")
            job_id, ends, token = rest.partition(":")
            if ends:
                self._remember(job_id)
            for listener in self._listeners.get(job_id, ()):
                if ends or not listener.ends_only:
                    listener.token = int(token) if token.isdecimal() else None
                    listener.changed.set()

    def _subscribed(self, channel: str) -> None:
        if channel == self._ended:
            self._latest.clear()
            self._complete_since = time.monotonic()
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.changed.set()

    def _remember(self, job_id: str) -> None:
        self._latest[job_id] = time.monotonic()
        if len(self._latest) > REMEMBERED:
            self._complete_since = self._latest.pop(next(iter(self._latest)))
