"""Connections to Redis, whose calls are bounded in time and number."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import hiredis
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff, NoBackoff

from jobs.cluster_connection import pool_of
from jobs.cluster_url import is_cluster_url, read_cluster_url
from jobs.outages import (
    CALL_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    RETRIES,
    SENTINEL_TIMEOUT_S,
    refusal_of,
)
from jobs.sentinel_url import SentinelUrl, is_sentinel_url, read_sentinel_url

CALLS_AT_ONCE = 64
"""Per process, each on a connection of its own; further calls wait."""

PACKED_AT_ONCE_BYTES = 1 << 16
"""Arguments above this are not copied into their command."""

Command = tuple[str | bytes | float, ...]
"""A command's name and arguments."""

OnFirst = Callable[[Any], None]
"""Called with the answer of the first command as soon as it is there."""


def ignore(answer: Any) -> None:
    """Do nothing."""


class SteadyRedis(Redis):
    """A client whose calls are bounded in time and number, and can be cancelled at any point.

    redis-py's own `socket_timeout` uses asyncio.wait_for, which on Python 3.11 swallows a
    cancellation that arrives just as it ends: our own timeout, or a shutdown, would hang. Its
    blocking pool can lose a connection in the same way.

    Connections are redis-py's, but commands are written to them and answers read from them here:
    its own way through pool, retries and packing takes four times as long as the server.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self._idle: list[AbstractConnection] = []
        """Connected and without an answer due; the last one used comes last."""
        self.connections_made = 0
        """How often a connection was made or made again."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the connections, and those to sentinels."""
        await super().aclose(close_connection_pool)
        pool = self.connection_pool
        if isinstance(pool, SentinelConnectionPool) and self.auto_close_connection_pool:
            for sentinel in pool.sentinel_manager.sentinels:
                await sentinel.aclose()

    def beside(self) -> SteadyRedis:
        """Return a client of the same server with turns and connections of its own, of which the
        pool is closed with this client."""
        return SteadyRedis(connection_pool=self.connection_pool)

    @contextlib.asynccontextmanager
    async def one_connection(self) -> AsyncIterator[AbstractConnection]:
        """Lend a connection for messages that come unasked, and close it afterwards. Nobody makes
        it again when it ends: its subscriptions would be lost unnoticed."""
        connection = await self._connected()
        try:
            yield connection
        finally:
            await self._give_back(connection)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; redis's TimeoutError after CALL_TIMEOUT_S."""
        (answer,) = await self._bounded((args,), options, ignore)
        if isinstance(answer, exceptions.ResponseError):
            raise answer
        return answer

    async def together(self, *commands: Command, on_first: OnFirst = ignore) -> list[Any]:
        """Run commands one after another in one round trip, bounded as one call. Return the answer
        of each, or the ResponseError with which it was refused. Commands behind one that blocks
        wait for its end; `on_first` is called again when all are repeated."""
        return await self._bounded(commands, {}, on_first)

    async def _bounded(
        self, commands: Sequence[Command], options: dict[str, Any], on_first: OnFirst
    ) -> list[Any]:
        """Exchange commands for answers, which redis-py reads by `options`."""
        async with self._turns:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    return await self._repeated(commands, options, on_first)
            except TimeoutError as error:
                raise exceptions.TimeoutError(f"no answer in {CALL_TIMEOUT_S:g} s") from error

    async def _repeated(
        self, commands: Sequence[Command], options: dict[str, Any], on_first: OnFirst
    ) -> list[Any]:
        """Exchange them again on a new connection when one has ended."""
        for _ in range(RETRIES):
            try:
                return await self._exchanged(commands, options, on_first)
            except (exceptions.ConnectionError, exceptions.TimeoutError):
                await self._drop_idle()
        return await self._exchanged(commands, options, on_first)

    async def _exchanged(
        self, commands: Sequence[Command], options: dict[str, Any], on_first: OnFirst
    ) -> list[Any]:
        connection = self._idle.pop() if self._idle else await self._connected()
        try:
            packed = [part for command in commands for part in _packed(connection, command)]
            await connection.send_packed_command(packed, check_health=False)
            answers = [await self._answer(connection, commands[0][0], options)]
            on_first(answers[0])
            answers += [await self._answer(connection, name, options) for name, *_ in commands[1:]]
        except BaseException:  # an answer may still come, so nobody else may use it
            await self._give_back(connection)
            raise
        self._idle.append(connection)
        return answers

    async def _answer(
        self, connection: AbstractConnection, name: Any, options: dict[str, Any]
    ) -> Any:
        """Return an answer in the form that redis-py gives it, or the ResponseError."""
        try:
            return await self.parse_response(connection, name, **options)  # type: ignore[arg-type]
        except exceptions.ResponseError as error:
            return refusal_of(error)

    async def _connected(self) -> AbstractConnection:
        """Return a connection of the pool, which connects it; it repeats that for a moment."""
        getting = self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        connection = cast("AbstractConnection", await getting)
        self.connections_made += 1
        return connection

    async def _drop_idle(self) -> None:
        """Close the idle connections: what ended one, a restart of the server, has ended all."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await self._give_back(connection)

    async def _give_back(self, connection: AbstractConnection) -> None:
        """Close a connection, which the pool may connect again."""
        await connection.disconnect(nowait=True)
        await self.connection_pool.release(connection)


class Sentinels(Sentinel):
    """The sentinels of a service, of which none is forgotten.

    redis-py puts the one that answered first, by its index: of two calls at once, the second moves
    what the first one has moved already. One sentinel is then there twice, and another nowhere: it
    is asked no more, and its connections are never closed.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._known: tuple[Redis, ...] = tuple(self.sentinels)

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return the address of the primary. Raises redis-py's ConnectionError if no sentinel names
        one."""
        discovery = super().discover_master(service_name)
        address: tuple[str, int] = await discovery
        first = self.sentinels[0]
        self.sentinels = [first, *(one for one in self._known if one is not first)]
        return address


def _packed(connection: AbstractConnection, command: Command) -> list[bytes]:
    """Return a command as it is sent: by hiredis, or without copying a large argument."""
    if any(isinstance(part, bytes) and len(part) > PACKED_AT_ONCE_BYTES for part in command):
        return connection.pack_command(*command)
    words = str(command[0]).split()  # some commands of redis-py have names of two words
    parts: tuple[Any, ...] = (*words, *command[1:])
    return [hiredis.pack_command(parts)]


def connect(url: str, tag: str = "") -> SteadyRedis:
    """Return a client of a redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL;
    it connects at its first use. In a cluster it speaks to the node that holds the hash `tag`."""
    options: dict[str, Any] = {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "max_connections": 3 * CALLS_AT_ONCE,
        "retry": Retry(ExponentialBackoff(cap=0.1, base=0.01), RETRIES),
        "retry_on_error": [exceptions.ConnectionError, exceptions.TimeoutError],
    }
    if not url.startswith("unix://"):
        options["socket_keepalive"] = True
    if is_sentinel_url(url):
        return _through_sentinels(read_sentinel_url(url), options)
    if is_cluster_url(url):
        pool = pool_of(read_cluster_url(url), tag, options)
        return cast("SteadyRedis", SteadyRedis.from_pool(pool))
    return cast("SteadyRedis", SteadyRedis.from_url(url, **options))


def _through_sentinels(url: SentinelUrl, options: dict[str, Any]) -> SteadyRedis:
    """Return a client of the primary that the sentinels name, asked at each new connection."""
    entry = {"username": url.sentinel_username, "password": url.sentinel_password}
    # One that is away or hangs must not hold up the others.
    bounds = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}
    once = {"retry": Retry(NoBackoff(), 0), "ssl": url.tls}
    settings = {**entry, **bounds, **once}
    sentinels = Sentinels(url.addresses, sentinel_kwargs=settings)
    options |= {"username": url.username, "password": url.password, "db": url.database}
    client = sentinels.master_for(url.service, SteadyRedis, ssl=url.tls, **options)
    return cast("SteadyRedis", client)
