"""Connections to Redis, and how callers see an outage."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

CONNECT_TIMEOUT_S = 2.0
CALL_TIMEOUT_S = 10.0
"""For one call with its retries. A large picture takes some 50 ms."""

CALLS_AT_ONCE = 64
"""Per process, each on a connection of its own; further calls wait."""

RETRIES = 3
"""Within about 0.1 s: bridges a killed connection, not an outage. Every call may be repeated."""

OUTAGES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
)
"""Raised by redis-py when the server is away, is starting, or cannot take writes."""

Command = tuple[str | bytes | float, ...]
"""A command's name and arguments."""

P = ParamSpec("P")
R = TypeVar("R")


class SteadyRedis(Redis):
    """A client whose calls are bounded in time and number, and can be cancelled at any point.

    redis-py's own `socket_timeout` uses asyncio.wait_for, which on Python 3.11 swallows a
    cancellation that arrives just as it ends: our own timeout, or a shutdown, would hang. Its
    blocking pool can lose a connection in the same way.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; redis's TimeoutError after CALL_TIMEOUT_S."""
        async with self._turns:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    call = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
                    return await call
            except TimeoutError as error:
                raise exceptions.TimeoutError(f"no answer in {CALL_TIMEOUT_S:g} s") from error

    async def together(self, *commands: Command) -> list[Any]:
        """Run commands one after another in one round trip, bounded as one call. Return the answer
        of each, or the ResponseError with which it was refused."""
        async with self._turns:
            try:
                async with (
                    asyncio.timeout(CALL_TIMEOUT_S),
                    self.pipeline(transaction=False) as pipe,
                ):
                    for command in commands:
                        pipe.execute_command(*command)
                    return await pipe.execute(raise_on_error=False)
            except TimeoutError as error:
                raise exceptions.TimeoutError(f"no answer in {CALL_TIMEOUT_S:g} s") from error


def connect(url: str) -> SteadyRedis:
    """Return a client of a redis://, rediss:// or unix:// URL; it connects at its first use."""
    options: dict[str, Any] = {} if url.startswith("unix://") else {"socket_keepalive": True}
    client = SteadyRedis.from_url(
        url,
        protocol=2,
        decode_responses=False,
        socket_timeout=None,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        max_connections=2 * CALLS_AT_ONCE,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), RETRIES),
        retry_on_error=[exceptions.ConnectionError, exceptions.TimeoutError],
        **options,
    )
    return cast("SteadyRedis", client)


def reports_outages(
    call: Callable[P, Coroutine[Any, Any, R]],
) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make an async function raise the built-in ConnectionError when Redis is out."""

    @functools.wraps(call)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await call(*args, **kwargs)
        except OUTAGES as error:
            raise ConnectionError(f"the queue's Redis is not available: {error}") from error

    return wrapped
