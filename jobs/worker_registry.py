"""Where workers say that they live, and the gateway reads who does."""

from __future__ import annotations

from redis.asyncio import Redis

from jobs.codec import WORKER_PULSE, CodecError
from jobs.job import WorkerHeartbeat
from jobs.keys import Keys
from jobs.scripts import Scripts


class WorkerRegistry:
    """One expiring string per worker, the set of their ids, and what they offer together."""

    def __init__(self, client: Redis, keys: Keys, scripts: Scripts, ttl_seconds: float) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._ttl_ms = round(ttl_seconds * 1000)

    async def publish(self, heartbeat: WorkerHeartbeat) -> int:
        """Write a worker's heartbeat and what it can run; both last for the time to live.

        Return how many workers live, this one included; one that was killed counts until the
        next reading.
        """
        data = WORKER_PULSE.encode(heartbeat)
        return await self._scripts.heartbeat(
            heartbeat.worker_id, data, self._ttl_ms, heartbeat.capabilities
        )

    async def retire(self, worker_id: str) -> None:
        """Erase a worker's heartbeat."""
        await self._client.unlink(self._keys.heartbeat(worker_id))
        await self._client.srem(self._keys.workers, worker_id)

    async def read(self) -> list[WorkerHeartbeat]:
        """Return the workers that live, by id. One that cannot be read is left out: a worker
        of another version must not take the gateway down."""
        alive = []
        for data in await self._scripts.heartbeats():
            try:
                alive.append(WORKER_PULSE.decode(data))
            except CodecError:
                continue
        return sorted(alive, key=lambda heartbeat: heartbeat.worker_id)
