"""Events of jobs: one pub/sub connection per process, shared by all that wait for a job.

A process hears of the ends of the jobs that it has submitted, on a channel of its own, and of any
job or batch that it follows, on that one's channels (`jobs.job_event`); of no other. After each
(re)connection, and once a job is followed, those concerned are woken to read it again, so none
misses what happened in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from jobs.codec import CodecError
from jobs.connection import SteadyRedis
from jobs.job_event import JobEvent, ResultEvent, job_event_of, result_event_of
from jobs.keys import Keys
from jobs.outages import RECONNECT_S

log = logging.getLogger("anysr.jobs.events")

SILENCE_S = 10.0
"""After this long without a message the connection is checked by a ping."""
MOST_OWN = 16_384
"""Number of jobs that are remembered as submitted here; older ones are followed like those of
other gateways."""


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
    """Receives events of jobs, and wakes those who wait for them."""

    def __init__(self, client: SteadyRedis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.channel = keys.gateway(uuid4().hex)
        """The channel with the ends of the jobs that this process submits."""
        self._own: dict[str, None] = {}
        """Jobs that this process has submitted since it receives its channel, and of whose end it
        has not heard; oldest first."""
        self._receiving = False
        """Whether the channel is received."""
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._followed: dict[str, str] = {}
        """Channels that are to be received beside `channel`, each with its job or batch."""
        self._following_changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start receiving, unless that has started."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="job-events")

    @contextlib.contextmanager
    def submitting(self, job_id: str) -> Iterator[Callable[[], None]]:
        """Await the end of a job that is submitted in the block with this process's `channel`. The
        block calls what is yielded once the queue has taken it as a new one."""
        self.start()
        accepted = False

        def accept() -> None:
            nonlocal accepted
            accepted = True

        if self._receiving:
            self._own[job_id] = None
        if len(self._own) > MOST_OWN:
            del self._own[next(iter(self._own))]
        try:
            yield accept
        finally:
            if not accepted:
                self._own.pop(job_id, None)

    def awaits(self, job_id: str) -> bool:
        """Return whether a job was submitted here, and its end is still to come by `channel`."""
        return job_id in self._own

    @contextlib.contextmanager
    def subscribe(self, job_id: str, ends_only: bool = False) -> Iterator[Subscription]:
        """Receive the events of one job, or only its end: at once those that come to this
        process's channel, and all once it is followed."""
        self.start()
        subscription = Subscription(ends_only)
        subscriptions = self._subscriptions.setdefault(job_id, set())
        subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            subscriptions.discard(subscription)
            if not subscriptions and self._subscriptions.get(job_id) is subscriptions:
                del self._subscriptions[job_id]
                self._unfollow(job_id)

    def follow(self, job_id: str, subscription: Subscription) -> None:
        """Receive a job's own channels for a subscription: that of its end unless this process
        awaits it anyway, and that of its changes if it is watched. The subscription is notified
        once that works, to read the job again."""
        if not self.awaits(job_id):
            self._followed[self._keys.end_of(job_id)] = job_id
        if not subscription.ends_only:
            self._followed[self._keys.changes_of(job_id)] = job_id
        self._following_changed.set()

    def _unfollow(self, job_id: str) -> None:
        for channel in (self._keys.end_of(job_id), self._keys.changes_of(job_id)):
            if self._followed.pop(channel, None) is not None:
                self._following_changed.set()

    async def close(self) -> None:
        """Stop receiving."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._client.one_connection() as connection:
                    await self._receive(connection)
            self._receives(False)
            await asyncio.sleep(RECONNECT_S)

    async def _receive(self, connection: AbstractConnection) -> None:
        """Deliver events until the connection turns out to be dead."""
        tasks = [
            asyncio.create_task(work)
            for work in (self._read(connection), self._subscribe(connection))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, connection: AbstractConnection) -> None:
        pinged = False
        while True:
            message = await connection.read_response(timeout=SILENCE_S)
            if message is not None:
                self._deliver(message)
                pinged = False
            elif pinged:
                return
            else:
                await connection.send_command("PING", check_health=False)
                pinged = True

    async def _subscribe(self, connection: AbstractConnection) -> None:
        """Keep the connection subscribed to this process's channel and to those that are
        followed."""
        subscribed: set[str] = set()
        while True:
            wanted = {self.channel, *self._followed}
            for command, channels in (
                ("SUBSCRIBE", wanted - subscribed),
                ("UNSUBSCRIBE", subscribed - wanted),
            ):
                if channels:
                    await connection.send_command(command, *channels, check_health=False)
            subscribed = wanted
            await self._following_changed.wait()
            self._following_changed.clear()

    def _deliver(self, message: Any) -> None:
        """Read what the server sends to subscribers: a kind, a channel, and what was published."""
        match message:
            case [b"subscribe", bytes(channel), _]:
                self._subscribed(channel.decode())
            case [b"message", _, bytes(published)]:
                self._hand_over(job_event_of(published))

    def _hand_over(self, event: JobEvent) -> None:
        if event.ends:
            self._own.pop(event.name, None)
        waiting = self._subscriptions.get(event.name, ())
        result_event = _result_in(event) if waiting else None
        for subscription in waiting:
            if event.ends:
                subscription.token = event.token
                subscription.result_event = result_event or subscription.result_event
            if event.ends or not subscription.ends_only:
                subscription.changed.set()

    def _subscribed(self, channel: str) -> None:
        """Have those read their jobs again whose events may have been missed before."""
        if channel == self.channel:
            self._receives(True)
            concerned = list(self._subscriptions.values())
        else:
            concerned = [self._subscriptions.get(self._followed.get(channel, ""), set())]
        for subscriptions in concerned:
            for subscription in subscriptions:
                subscription.changed.set()

    def _receives(self, receiving: bool) -> None:
        """Note whether the channel is received from now on; ends before that may be missed."""
        self._receiving = receiving
        self._own.clear()


def _result_in(event: JobEvent) -> ResultEvent | None:
    try:
        return result_event_of(event)
    except CodecError as error:  # the job is read instead
        log.warning("%s", error)
        return None
