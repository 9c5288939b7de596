"""One shard: a queue of its own, without what is not divided."""

from __future__ import annotations

from jobs.blob_store import BlobStore
from jobs.connection import SteadyRedis
from jobs.durability import DurableCalls
from jobs.event_hub import EventHub
from jobs.keys import Keys
from jobs.outages import reports_outages
from jobs.records import JobRecords
from jobs.redis_blobs import RedisBlobs
from jobs.redis_deliveries import RedisDeliveries
from jobs.redis_leases import RedisLeases
from jobs.redis_registry import RedisRegistry
from jobs.redis_submissions import RedisSubmissions
from jobs.scripts import Scripts
from jobs.settings import QueueSettings
from jobs.wakeup import WakeupSignal


class Shard:
    """The parts of one shard. `pictures` is the store that all shards share; None where each keeps
    its own pictures."""

    def __init__(
        self, number: int, client: SteadyRedis, pictures: BlobStore | None, settings: QueueSettings
    ) -> None:
        self.number = number
        self.client = client
        self.keys = keys = Keys(settings.namespace, number)
        self.scripts = Scripts(
            client, keys, settings.job_ttl_seconds, pictures_here=pictures is None
        )
        self.durable = DurableCalls(client, keys.durable, settings.durable_replicas)
        self.pictures = pictures or RedisBlobs(client, keys, settings, self.durable, apart=False)
        self.records = JobRecords(client, keys)
        self._hub = EventHub(client, keys)
        wakeup = WakeupSignal(client, self.scripts, keys)
        self.submissions = RedisSubmissions(
            *(keys, self.scripts, self.durable, self.pictures, self.records, self._hub, settings)
        )
        self.leases = RedisLeases(self.scripts, self.pictures, wakeup, settings)
        self.deliveries = RedisDeliveries(
            self.scripts, client, keys.delivery_wake, settings.result_ttl_seconds
        )
        self.registry = RedisRegistry(
            *(client, keys, self.scripts, settings.pulse_ttl_seconds, {"queue": client})
        )

    @reports_outages
    async def waiting(self) -> int:
        """Return how many jobs wait."""
        return int(await self.client.zcard(self.keys.pending))

    @reports_outages
    async def workers(self) -> int:
        """Return how many workers have their home here; dead ones may be among them."""
        return int(await self.client.zcard(self.keys.workers))

    async def close(self) -> None:
        """Close the connections that are its own."""
        await self._hub.close()
        await self.durable.close()
