"""What a Redis server reports of its clients and commands, to wait for in tests of the queue."""

from __future__ import annotations

from redis.asyncio import Redis

from jobs.job import Claim
from jobs.keys import Keys
from tests.support.waiting import eventually


async def subscribed(raw: Redis) -> int:
    """Return the number of connections that are subscribed to events."""
    return len(await raw.client_list(_type="pubsub"))


async def until_subscribed(raw: Redis) -> None:
    """Wait until a connection is subscribed to events."""
    await eventually(lambda: subscribed(raw), "a connection that is subscribed to events")


async def blocked(raw: Redis) -> int:
    """Return the number of connections that block on a list."""
    return int((await raw.info("clients"))["blocked_clients"])


async def until_blocked(raw: Redis, count: int) -> None:
    """Wait until exactly `count` connections block on a list."""

    async def as_many() -> bool:
        return await blocked(raw) == count

    await eventually(as_many, f"{count} connections that block on a list")


async def calls(raw: Redis, *commands: str) -> int:
    """Return how often these commands were called since the server started."""
    stats = await raw.info("commandstats")
    return sum(stats.get(f"cmdstat_{command}", {}).get("calls", 0) for command in commands)


async def expire_lease(raw: Redis, keys: Keys, *claims: Claim) -> None:
    """Let leases expire now, as if their workers had not renewed them."""
    await raw.zadd(keys.leases, {claim.job.id: 0.0 for claim in claims}, xx=True)
