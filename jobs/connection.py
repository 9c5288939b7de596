"""Connections to Redis: how they are made, and what an outage looks like to callers."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

CONNECTIONS = 64
"""Per process; further calls wait their turn."""

SOCKET_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
RETRIES = 3
"""Over about 0.1 s: bridges a killed connection, not an outage. Every call may be repeated."""

OUTAGES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
)
"""What redis-py raises when the server is away, is starting, or cannot take writes."""

P = ParamSpec("P")
R = TypeVar("R")


def connect(url: str) -> Redis:
    """Return a client of a redis://, rediss:// or unix:// URL; it connects at its first use."""
    options: dict[str, Any] = {} if url.startswith("unix://") else {"socket_keepalive": True}
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=SOCKET_TIMEOUT_S,
        protocol=2,
        decode_responses=False,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.1, base=0.01), RETRIES),
        retry_on_error=[exceptions.ConnectionError, exceptions.TimeoutError],
        **options,
    )
    return Redis.from_pool(pool)


def reports_outages(call: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Make an async function raise the built-in ConnectionError when Redis is out."""

    @functools.wraps(call)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await call(*args, **kwargs)
        except OUTAGES as error:
            raise ConnectionError(f"the queue's Redis is not available: {error}") from error

    return wrapped
