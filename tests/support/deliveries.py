"""Deliveries of the queue, hurried."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from jobs.job import DeliveryKind
from jobs.keys import Keys


async def hurry(raw: Redis, keys: Keys) -> None:
    """Let every delivery be due now, as if its pause or its lease were over."""
    hosts: Any = await raw.zrange(keys.delivery_hosts, 0, -1)
    sets = [
        *map(keys.waiting_deliveries, DeliveryKind),
        *(f"{keys.deliveries}:{host.decode()}" for host in hosts),
        keys.delivery_hosts,
    ]
    for name in sets:
        members: Any = await raw.zrange(name, 0, -1)
        for member in members:
            await raw.zadd(name, {member: 0}, xx=True)
