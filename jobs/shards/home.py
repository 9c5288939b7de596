"""The home of a worker: the shard whose jobs it claims before those of others."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence

from jobs.connection import SteadyRedis
from jobs.keys import Keys
from jobs.outages import OUTAGES
from jobs.shards.shard import Shard


class Home:
    """Chosen at its first use, for the life of the process: the shard with the fewest workers. Of
    several, workers that start together take one after the other."""

    def __init__(self, shards: Sequence[Shard], client: SteadyRedis, keys: Keys) -> None:
        """`client` and `keys` are of what is not divided."""
        self._shards = shards
        self._client = client
        self._turns = keys.homes
        self._choosing = asyncio.Lock()
        self._chosen: Shard | None = None

    async def shard(self) -> Shard:
        """Return the home. Raises ConnectionError while no shard can be reached."""
        async with self._choosing:
            if self._chosen is None:
                self._chosen = await self._fewest()
            return self._chosen

    async def _fewest(self) -> Shard:
        counts = await asyncio.gather(*map(_workers, self._shards))
        if min(counts) == math.inf:
            raise ConnectionError("no shard of the queue can be reached")
        turn, number = await self._turn(), len(self._shards)
        places = range(number)
        return self._shards[min(places, key=lambda place: (counts[place], (place - turn) % number))]

    async def _turn(self) -> int:
        try:
            return int(await self._client.incr(self._turns))
        except OUTAGES:
            return random.randrange(len(self._shards))


async def _workers(shard: Shard) -> float:
    """Return the number of workers of a shard; infinity while it is away."""
    try:
        return await shard.workers()
    except ConnectionError:
        return math.inf
