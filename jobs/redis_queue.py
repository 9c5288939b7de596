"""The queue on Redis: earliest latest-start first, leases, fenced results.

Every change is one Lua script on the server's own clock, so a gateway, a worker or Redis itself
(with an append-only file) may die between any two lines here and no accepted job is lost. Lives
on a single Redis, not on a cluster.
"""

from __future__ import annotations

from jobs.blob_store import BlobStore
from jobs.connection import SteadyRedis, connect
from jobs.durability import DurableCalls
from jobs.event_hub import EventHub
from jobs.keys import Keys
from jobs.records import JobRecords
from jobs.redis_batches import RedisBatches
from jobs.redis_cached_pictures import RedisCachedPictures
from jobs.redis_clients import RedisClients
from jobs.redis_deliveries import RedisDeliveries
from jobs.redis_leases import RedisLeases
from jobs.redis_registry import RedisRegistry
from jobs.redis_submissions import RedisSubmissions
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from jobs.wakeup import WakeupSignal


class RedisQueue:
    """The parts of `jobs.queue` on one Redis, or on two when pictures have their own."""

    def __init__(self, client: SteadyRedis, blobs: SteadyRedis, settings: QueueSettings) -> None:
        keys, apart = Keys(settings.namespace), blobs is not client
        self._clients = (client, blobs) if apart else (client,)
        self._hub = EventHub(client, keys)
        scripts = Scripts(client, keys, settings.job_ttl_seconds, pictures_here=not apart)
        durable = DurableCalls(client, keys.durable, settings.durable_replicas)
        durable_blobs = (
            DurableCalls(blobs, keys.durable, settings.durable_replicas) if apart else durable
        )
        self._durable = (durable, durable_blobs)
        pictures = BlobStore(blobs, keys, settings, durable_blobs, apart=apart)
        records, wakeup = JobRecords(client, keys), WakeupSignal(client, scripts, keys.wake)
        servers = {"queue": client, "pictures": blobs} if apart else {"queue": client}
        self.registry = RedisRegistry(client, keys, scripts, settings.pulse_ttl_seconds, servers)
        self.leases = RedisLeases(scripts, pictures, wakeup, settings)
        self.deliveries = RedisDeliveries(
            scripts, client, keys.delivery_wake, settings.result_ttl_seconds
        )
        self.clients = RedisClients(scripts)
        self.cached = RedisCachedPictures(
            blobs, keys, scripts, durable, pictures, records, settings
        )
        self.batches = RedisBatches(client, keys, scripts, durable, self._hub)
        self.submissions = RedisSubmissions(
            keys, scripts, durable, pictures, records, self._hub, self.registry, settings
        )

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> RedisQueue:
        """Return the queue of a Redis URL; it connects at its first use."""
        client = connect(url)
        return cls(client, connect(settings.blob_url) if settings.blob_url else client, settings)

    async def close(self) -> None:
        """Close the connections."""
        await self._hub.close()
        for durable in self._durable:
            await durable.close()
        for client in self._clients:
            await client.aclose()
