"""Events of jobs: one pub/sub connection per process, shared by all that wait for a job.

An event only means "read this job again", with the token of its result; that of a small result
contains it (`jobs.result_event`). After each (re)connection all waiters are woken, so none misses
what happened in between. The ends of all jobs are received; the changes before them only once
somebody watches a job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from jobs.codec import CodecError
from jobs.keys import Keys
from jobs.outages import RECONNECT_S
from jobs.result_event import ResultEvent, result_event_of

log = logging.getLogger("anysr.jobs.events")

SILENCE_S = 10.0
"""After this long without a message the connection is checked by a ping."""
REMEMBERED = 1024
"""Number of recent ends that are remembered, for waits that begin just after."""


class Subscription:
    """One waiter's events: `changed` is set when the job should be read again."""

    def __init__(self, ends_only: bool) -> None:
        self.changed = asyncio.Event()
        self.ends_only = ends_only
        self.token: int | None = None
        """Token of the claim that ended the job, by its event."""
        self.result_event: ResultEvent | None = None
        """The job's end and result, if they came with an event."""


class EventHub:
    """Receives the ends and changes of jobs, and wakes those who wait for them."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._ended = keys.ended
        self._changes = keys.changes
        self.result_channel = keys.result_channel(uuid4().hex)
        """The channel with the small results of jobs that this process submits."""
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._task: asyncio.Task[None] | None = None
        self._watched = asyncio.Event()
        """Set once somebody subscribes to changes before an end."""
        self._latest: dict[str, float] = {}
        """Jobs that ended most recently, oldest first, with the time of the event."""
        self._complete_since = math.inf
        """All ends since this moment of time.monotonic() were received and are remembered."""

    def start(self) -> None:
        """Start receiving, unless that has started."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="job-events")

    def still_runs(self, job_id: str, since: float) -> bool:
        """Return whether a job that was submitted after `since`, a moment of time.monotonic(), has
        certainly not ended yet."""
        return self._complete_since <= since and job_id not in self._latest

    @contextlib.contextmanager
    def subscribe(self, job_id: str, ends_only: bool = False) -> Iterator[Subscription]:
        """Receive the events of one job, or only its end. Read the job after this, not before."""
        self.start()
        subscription = Subscription(ends_only)
        subscriptions = self._subscriptions.setdefault(job_id, set())
        subscriptions.add(subscription)
        if not ends_only:
            self._watched.set()
        try:
            yield subscription
        finally:
            subscriptions.discard(subscription)
            if not subscriptions and self._subscriptions.get(job_id) is subscriptions:
                del self._subscriptions[job_id]

    async def close(self) -> None:
        """Stop receiving."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._client.pubsub() as pubsub:
                    await self._receive(pubsub)
            self._complete_since = math.inf
            await asyncio.sleep(RECONNECT_S)

    async def _receive(self, pubsub: PubSub) -> None:
        """Deliver events until the connection turns out to be dead."""
        async with asyncio.timeout(SILENCE_S):
            await pubsub.subscribe(self._ended, self.result_channel)
        following = asyncio.create_task(self._follow_changes(pubsub))
        try:
            pinged = False
            while True:
                message = await pubsub.get_message(timeout=SILENCE_S)
                if message is not None:
                    self._deliver(message)
                    pinged = False
                elif pinged:
                    return
                else:
                    await pubsub.ping()
                    pinged = True
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow_changes(self, pubsub: PubSub) -> None:
        """Subscribe to the changes once somebody watches a job, and stay subscribed: watchers will
        come again."""
        await self._watched.wait()
        await pubsub.subscribe(self._changes)

    def _deliver(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._subscribed(message["channel"].decode())
        elif message["type"] != "message":
            return
        elif message["channel"].decode() == self.result_channel:
            self._hand_over(message["data"])
        else:
            _, _, rest = message["data"].decode(errors="replace").partition(":")
            job_id, ends, token = rest.partition(":")
            if ends:
                self._remember(job_id)
            for subscription in self._subscriptions.get(job_id, ()):
                if ends or not subscription.ends_only:
                    subscription.token = int(token) if token.isdecimal() else None
                    subscription.changed.set()

    def _hand_over(self, message: bytes) -> None:
        try:
            result_event = result_event_of(message)
        except CodecError as error:  # the job's end is published as well
            log.warning("%s", error)
            return
        for subscription in self._subscriptions.get(result_event.job_id, ()):
            if subscription.ends_only:
                subscription.token, subscription.result_event = result_event.token, result_event
                subscription.changed.set()

    def _subscribed(self, channel: str) -> None:
        if channel == self._ended:
            self._latest.clear()
            self._complete_since = time.monotonic()
        for subscriptions in self._subscriptions.values():
            for subscription in subscriptions:
                subscription.changed.set()

    def _remember(self, job_id: str) -> None:
        self._latest[job_id] = time.monotonic()
        if len(self._latest) > REMEMBERED:
            self._complete_since = self._latest.pop(next(iter(self._latest)))
