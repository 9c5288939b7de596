"""Connections to the node of a cluster that holds one hash tag.

All keys of a queue have one hash tag, so they are in one slot, and one node has them all. Plain
connections to that node carry what redis-py's client of clusters does not: events, blocking pops,
and several commands and scripts in one round trip. Which node it is, is asked at each new
connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from jobs.cluster_url import ClusterUrl
from jobs.outages import SENTINEL_TIMEOUT_S

FRESH_S = 0.1
"""For so long an answer of the cluster is used for further connections."""
MOVING = (
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.ReadOnlyError,
)
"""Answers of a node that does not hold the slot, or not any more, or not yet."""


class SlotHolder:
    """Knows which node holds the slot of a hash tag."""

    def __init__(self, url: ClusterUrl, tag: str) -> None:
        self._url = url
        self._tag = tag
        self._slot = key_slot(tag.encode())
        self._asking = asyncio.Lock()
        self._known: tuple[str, int] | None = None
        self._asked_at = 0.0

    def learn(self, host: str, port: int) -> None:
        """Use what a node has answered for the next connections: others may not know it yet."""
        self._known, self._asked_at = (host, port), asyncio.get_running_loop().time()

    def forget(self) -> None:
        """Ask again for the next connection."""
        self._known = None

    async def address(self) -> tuple[str, int]:
        """Return host and port of the node. Raises redis's ConnectionError while none is known."""
        async with self._asking:
            clock = asyncio.get_running_loop()
            if self._known is None or clock.time() - self._asked_at > FRESH_S:
                self._known, self._asked_at = await self._asked(), clock.time()
            return self._known

    async def _asked(self) -> tuple[str, int]:
        why = "no node was named"
        for host, port in self._url.addresses:
            try:
                return await self._asked_of(host, port)
            except (exceptions.RedisError, OSError) as error:
                why = str(error)
        raise exceptions.ConnectionError(f"the cluster does not answer: {why}")

    async def _asked_of(self, host: str, port: int) -> tuple[str, int]:
        """Ask one node. redis-py's client of clusters would also ask it for all its commands, which
        takes fifty times as long."""
        url = self._url
        bounds = {"socket_timeout": SENTINEL_TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
        entry = {"username": url.username, "password": url.password, "ssl": url.tls}
        options: dict[str, Any] = {"protocol": 2, **bounds, **entry}
        async with Redis(host=host, port=port, **options) as node:
            asking = node.execute_command("CLUSTER SLOTS")  # type: ignore[no-untyped-call]
            ranges: list[Any] = await asking
        for first, last, (at, at_port, *_), *_ in ranges:
            if first <= self._slot <= last:
                return (at.decode() if at else host), int(at_port)
        raise exceptions.ConnectionError(f"no node of the cluster holds {self._tag}")


class SlotConnection(Connection):
    """A connection to the node that holds a slot, wherever that is when it connects."""

    def __init__(self, *, holder: SlotHolder, **options: Any) -> None:
        super().__init__(**options)
        self._holder = holder

    async def connect(self) -> None:
        """Connect, unless it is connected."""
        if not self.is_connected:
            self.host, self.port = await self._holder.address()
        await super().connect()  # type: ignore[no-untyped-call]

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Return the next answer. That of a node without the slot ends the connection, so that the
        call is repeated at the node which holds it now."""
        try:
            return await super().read_response(*args, **options)
        except MOVING as error:
            if isinstance(error, exceptions.MovedError):
                self._holder.learn(error.host or self.host, error.port)
            else:
                self._holder.forget()
            await self.disconnect(nowait=True)
            raise exceptions.ConnectionError(f"the slot is elsewhere: {error}") from error


class SecureSlotConnection(SlotConnection, SSLConnection):
    """The same over TLS."""


def pool_of(url: ClusterUrl, tag: str, options: dict[str, Any]) -> ConnectionPool:
    """Return a pool of connections to the node that holds a hash tag."""
    kind = SecureSlotConnection if url.tls else SlotConnection
    entry: dict[str, Any] = {"username": url.username, "password": url.password}
    return ConnectionPool(connection_class=kind, holder=SlotHolder(url, tag), **entry, **options)
