"""The queue on Redis: earliest latest-start first, leases, fenced results.

Every change is one Lua script on the server's own clock, so a gateway, a worker or Redis itself
(with an append-only file) may die between any two lines here and no accepted job is lost. All keys
have one hash tag: in a cluster they are on one node.
"""

from __future__ import annotations

from jobs.blob_index import BlobIndex
from jobs.blob_store import BlobStore
from jobs.bucket import Bucket
from jobs.connection import SteadyRedis, connect
from jobs.durability import DurableCalls
from jobs.event_hub import EventHub
from jobs.keys import Keys
from jobs.queue import Upkeep
from jobs.records import JobRecords
from jobs.redis_batches import RedisBatches
from jobs.redis_blobs import RedisBlobs
from jobs.redis_cached_pictures import RedisCachedPictures
from jobs.redis_clients import RedisClients
from jobs.redis_deliveries import RedisDeliveries
from jobs.redis_leases import RedisLeases
from jobs.redis_registry import RedisRegistry
from jobs.redis_submissions import RedisSubmissions
from jobs.s3_blobs import S3Blobs
from jobs.s3_cached_pictures import S3CachedPictures
from jobs.s3_uploads import S3Uploads
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from jobs.store_upkeep import StoreUpkeep
from jobs.uploads import Uploads
from jobs.wakeup import WakeupSignal


class RedisQueue:
    """The parts of `jobs.queue` on one Redis; on two, or on one and a bucket, when pictures have
    their own place."""

    uploads: Uploads | None = None
    upkeep: Upkeep | None = None

    def __init__(
        self, client: SteadyRedis, blobs: SteadyRedis | Bucket, settings: QueueSettings
    ) -> None:
        keys = Keys(settings.namespace)
        self._clients: tuple[SteadyRedis, ...] = (client,)
        self._durable: list[DurableCalls] = []
        self._hub = EventHub(client, keys)
        scripts = Scripts(client, keys, settings.job_ttl_seconds, pictures_here=blobs is client)
        durable = self._durable_calls(client, keys, settings)
        records, wakeup = JobRecords(client, keys), WakeupSignal(client, scripts, keys)
        servers = {"queue": client}
        pictures: BlobStore
        index: BlobIndex | None = None
        if isinstance(blobs, Bucket):
            index = BlobIndex(client, keys, blobs.settings.most_bytes)
            pictures = in_bucket = S3Blobs(blobs, index, settings)
            self.cached: RedisCachedPictures = S3CachedPictures(
                client, keys, scripts, durable, in_bucket, records, settings, blobs, index
            )
            self.upkeep = StoreUpkeep(blobs, index)
            if blobs.can_sign_puts:
                valid_s = settings.upload_seconds
                self.uploads = S3Uploads(client, keys, blobs, index, valid_s)
        else:
            apart = blobs is not client
            there = self._durable_calls(blobs, keys, settings) if apart else durable
            pictures = RedisBlobs(blobs, keys, settings, there, apart=apart)
            self.cached = RedisCachedPictures(
                blobs, keys, scripts, durable, pictures, records, settings
            )
            if blobs is not client:
                self._clients = (client, blobs)
                servers["pictures"] = blobs
        self.scripts, self.pictures, self.keys = scripts, pictures, keys
        self.registry = RedisRegistry(
            client, keys, scripts, settings.pulse_ttl_seconds, servers, index
        )
        self.leases = RedisLeases(scripts, pictures, wakeup, settings)
        self.deliveries = RedisDeliveries(
            scripts, client, keys.delivery_wake, settings.result_ttl_seconds
        )
        self.clients = RedisClients(scripts)
        self.batches = RedisBatches(client, keys, scripts, durable, self._hub)
        self.submissions = RedisSubmissions(
            keys, scripts, durable, pictures, records, self._hub, settings
        )

    def _durable_calls(
        self, client: SteadyRedis, keys: Keys, settings: QueueSettings
    ) -> DurableCalls:
        self._durable.append(DurableCalls(client, keys.durable, settings.durable_replicas))
        return self._durable[-1]

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> RedisQueue:
        """Return the queue of a Redis URL; it connects at its first use."""
        return cls.of(connect(url, Keys(settings.namespace).tag), settings)

    @classmethod
    def of(cls, client: SteadyRedis, settings: QueueSettings) -> RedisQueue:
        """Return the queue on the server of a client, which it closes."""
        if settings.bucket is not None:
            return cls(client, Bucket(settings.bucket), settings)
        if not settings.blob_url:
            return cls(client, client, settings)
        return cls(client, connect(settings.blob_url, Keys(settings.namespace).tag), settings)

    async def close(self) -> None:
        """Close the connections."""
        await self._hub.close()
        for durable in self._durable:
            await durable.close()
        for client in self._clients:
            await client.aclose()
