"""Connections to the node of a cluster that holds one hash tag.

All keys of a queue have one hash tag, so they are in one slot, and one node has them all. Plain
connections to that node carry what redis-py's client of clusters does not: events, blocking pops,
and several commands and scripts in one round trip. That client only tells which node it is, at each
new connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection

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
        url = self._url
        cluster: RedisCluster = RedisCluster(
            startup_nodes=[ClusterNode(*address) for address in url.addresses],
            require_full_coverage=False,  # what other slots lack is no matter of this queue
            socket_timeout=SENTINEL_TIMEOUT_S,
            socket_connect_timeout=SENTINEL_TIMEOUT_S,
            username=url.username,
            password=url.password,
            ssl=url.tls,
        )
        try:
            await cluster.initialize()
            node = cluster.get_node_from_key(self._tag)
        except (exceptions.RedisClusterException, exceptions.SlotNotCoveredError) as error:
            raise exceptions.ConnectionError(f"the cluster does not answer: {error}") from error
        finally:
            await cluster.aclose()
        if node is None:
            raise exceptions.ConnectionError(f"no node of the cluster holds {self._tag}")
        return str(node.host), int(node.port)


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
