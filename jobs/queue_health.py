"""How the queue itself does: what it counts in Redis, and how much memory that has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.job import QueueHealth, RedisMemory
from jobs.keys import Keys


class QueueHealthReader:
    """Reads the counters of one namespace, and the memory of each of its servers."""

    def __init__(self, client: Redis, keys: Keys, servers: Mapping[str, Redis]) -> None:
        self._client = client
        self._keys = keys
        self._servers = servers

    async def read(self) -> QueueHealth:
        """Return the counts, 0 for what never happened, and the memory in use."""
        counts: Mapping[Any, Any] = await self._client.hgetall(self._keys.counts)
        memory = [await self._memory(holds, server) for holds, server in self._servers.items()]
        known = tuple(one for one in memory if one is not None)
        return QueueHealth(
            redeliveries=int(counts.get(b"redeliveries", 0)),
            dead_letters=int(counts.get(b"dead_letters", 0)),
            worker_starts=int(counts.get(b"worker_starts", 0)),
            memory=known,
        )

    async def count_worker_start(self) -> None:
        """Count one worker process."""
        await self._client.hincrby(self._keys.counts, "worker_starts", 1)

    async def _memory(self, holds: str, server: Redis) -> RedisMemory | None:
        """Return what a server says of its memory; None where a hosted one does not say."""
        try:
            info: Mapping[str, Any] = await server.info("memory")
        except ResponseError:
            return None
        limit = int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0))
        return RedisMemory(holds, int(info["used_memory"]), limit) if limit else None
