"""Outages of Redis: what counts as one, what is repeated and for how long, and what a caller gets.

Nothing that was accepted is lost in an outage. What a process does meanwhile, and when it gives up:

- One call (`jobs/connection`) is repeated by redis-py, `RETRIES` times within 0.1 s. It raises
  ConnectionError then, and after `CALL_TIMEOUT_S` in any case.
- The gateway refuses a new job at once (`service/dispatcher`), and any other request
  (`service/problems`): 503 `not_ready` with Retry-After.
- Its snapshot is empty (`service/snapshot`), so that no worker counts, until the next second's.
- A request that waits for an accepted job reads it again every `REREAD_S` (`jobs/waiting`), as long
  as it waits anyway; then it gets the same 503. Events are subscribed to again every `RECONNECT_S`
  (`jobs/event_hub`), and all who wait then read their jobs.
- A worker repeats its claim for ever, after `CLAIM_PAUSES_S` (`workers/worker`). Its heartbeat and
  its look for urgent jobs are left out until the next turn.
- A run goes on, and its lease is renewed when that is possible again (`workers/lease`).
- A result is sent again after each of `DELIVERY_PAUSES_S` (`deliver`), 16 s in all. After that the
  job is run again, by any worker.

Pictures in a bucket (`jobs/bucket`) have outages of the same kind, and all of this holds for them.

A Redis whose disk is full refuses writes and answers reads: an outage as any other, until it can
store what it took.

A private Redis that ends is started again, empty, by `server_keeper`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from redis import exceptions

log = logging.getLogger("anysr.jobs.outages")

REFUSED_WRITES = "MISCONF"
"""How Redis begins its refusal of writes that it could not store: its disk is full, or fails."""


class WritesRefusedError(exceptions.ResponseError):
    """The server takes no writes, because it could not store the last ones."""


OUTAGES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    WritesRefusedError,
)
"""Raised by redis-py when the server is away, is starting, or cannot take writes."""


class BucketUnavailable(exceptions.ConnectionError):
    """The bucket of the pictures is away, too slow, or refuses what its operator allows: an outage
    like those of Redis, so that all who bridge these bridge it. `lasting` ones need a person."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


class BucketFull(exceptions.OutOfMemoryError):
    """The pictures in the bucket take as much as they may, like a Redis without memory."""


class PicturesUnreachable(ConnectionError):
    """The queue can be reached, and its pictures cannot."""


CONNECT_TIMEOUT_S = 2.0
SENTINEL_TIMEOUT_S = 1.0
"""For one sentinel to name the primary; then the next is asked."""
CALL_TIMEOUT_S = 10.0
"""For one call with its retries. A large picture takes some 50 ms."""
RETRIES = 3
"""Within about 0.1 s: bridges a killed connection, not an outage. Every call may be repeated."""

REREAD_S = 0.2
"""Pause before a job is read again after an outage."""
RECONNECT_S = 0.2
"""Pause before events are subscribed to again."""
CLAIM_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between attempts to claim; the last one repeats."""
DELIVERY_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts to deliver. After the last one the lease has long run out, and the job is run
again."""

UNREACHABLE = "The queue cannot be reached; try again in a few seconds."
"""What a caller reads."""
PICTURES_UNREACHABLE = "The store of the pictures cannot be reached; try again in a few seconds."
"""What a caller reads where that alone is away."""


def refusal_of(error: exceptions.ResponseError) -> exceptions.ResponseError:
    """Return an error of the server, as a WritesRefusedError where it is one: redis-py knows no
    class for it."""
    return WritesRefusedError(*error.args) if str(error).startswith(REFUSED_WRITES) else error


P = ParamSpec("P")
R = TypeVar("R")


def reports_outages(
    call: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make an async function raise the built-in ConnectionError when Redis is out, or the bucket of
    the pictures."""

    @functools.wraps(call)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await call(*args, **kwargs)
        except (BucketUnavailable, BucketFull) as error:
            raise PicturesUnreachable(str(error)) from error
        except OUTAGES as error:
            raise ConnectionError(f"the queue's Redis is not available: {error}") from error

    return wrapped


def seen_by_callers(outage: ConnectionError) -> str:
    """Return what a caller reads of an outage."""
    return PICTURES_UNREACHABLE if isinstance(outage, PicturesUnreachable) else UNREACHABLE


def claim_pause_s(failures: int) -> float:
    """Return the pause before the next claim, after so many failed ones before the last."""
    return CLAIM_PAUSES_S[min(failures, len(CLAIM_PAUSES_S) - 1)]


async def deliver(send: Callable[[], Awaitable[R]]) -> R:
    """Return the result of `send`, repeated while the queue is away. Raises ConnectionError after
    the last attempt."""
    for pause_s in DELIVERY_PAUSES_S:
        try:
            return await send()
        except ConnectionError as error:
            log.warning("cannot deliver yet: %s", error)
            await asyncio.sleep(pause_s)
    return await send()
