"""Connections to Redis, whose calls are bounded in time and number."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from jobs.outages import CALL_TIMEOUT_S, CONNECT_TIMEOUT_S, RETRIES

CALLS_AT_ONCE = 64
"""Per process, each on a connection of its own; further calls wait."""

Command = tuple[str | bytes | float, ...]
"""A command's name and arguments."""


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
