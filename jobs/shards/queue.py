"""A queue of shards, of which each is a queue on its own server, or node of a cluster.

What must not be divided is beside them, on the server of the first: counters of clients, batches,
the result cache, the index of a bucket, and requests to all processes.
"""

from __future__ import annotations

import random

from jobs.cluster_url import is_cluster_url
from jobs.connection import SteadyRedis, connect
from jobs.keys import Keys
from jobs.queue import Upkeep
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from jobs.shards.cached_pictures import ShardedCachedPictures
from jobs.shards.charges import Charges
from jobs.shards.choice import ShardChoice
from jobs.shards.clients import ShardedClients
from jobs.shards.deliveries import ShardedDeliveries
from jobs.shards.home import Home
from jobs.shards.registry import ShardedRegistry
from jobs.shards.shard import Shard
from jobs.shards.stealing import StealingLeases
from jobs.shards.submissions import ShardedSubmissions
from jobs.uploads import Uploads


class ShardedQueue:
    """The parts of `jobs.queue` over several shards."""

    def __init__(self, urls: tuple[str, ...], settings: QueueSettings) -> None:
        """The shards are at the `urls` in turn: one of a cluster or a server, or one for each."""
        number, chance = settings.queue_shards, random.Random()
        of_common = Keys(settings.namespace)
        self._clients = _clients(urls, settings)
        common = self._common = RedisQueue.of(self._clients[of_common.tag], settings)
        divided = settings.blob_url is None
        self.shards = [
            Shard(
                place,
                self._clients[Keys(settings.namespace, place).tag],
                None if divided else common.pictures,
                settings,
            )
            for place in range(number)
        ]
        client, scripts = self._clients[of_common.tag], common.scripts
        choice = ShardChoice(number, chance)
        home = Home(self.shards, client, of_common)
        charges = Charges(client, of_common, scripts, self.shards)
        self.submissions = ShardedSubmissions(self.shards, choice, charges)
        self.clients = ShardedClients(common.clients)
        self.cached = ShardedCachedPictures(common.cached, self.shards, self.submissions, settings)
        self.leases = StealingLeases(self.shards, home, chance)
        self.deliveries = ShardedDeliveries(common.deliveries, self.shards)
        self.batches = common.batches
        self.registry = ShardedRegistry(common.registry, self.shards, home, choice)
        self.uploads: Uploads | None = common.uploads
        self.upkeep: Upkeep | None = common.upkeep

    async def close(self) -> None:
        """Close the connections."""
        for shard in self.shards:
            await shard.close()
        await self._common.close()
        for client in set(self._clients.values()):
            await client.aclose()


def _clients(urls: tuple[str, ...], settings: QueueSettings) -> dict[str, SteadyRedis]:
    """Return the client of each hash tag. Those on one server have one; in a cluster each has its
    own, because it speaks to the node that holds the tag."""
    places = [Keys(settings.namespace)]
    places += [Keys(settings.namespace, number) for number in range(settings.queue_shards)]
    of_server: dict[str, SteadyRedis] = {}
    clients: dict[str, SteadyRedis] = {}
    for keys in places:
        url = urls[(keys.shard or 0) % len(urls)]
        server = f"{url} {keys.tag}" if is_cluster_url(url) else url
        if server not in of_server:
            of_server[server] = connect(url, keys.tag)
        clients[keys.tag] = of_server[server]
    return clients
