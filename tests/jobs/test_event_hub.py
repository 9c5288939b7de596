"""The hub can be closed at any moment."""

from __future__ import annotations

import asyncio

import pytest

from jobs.connection import connect
from jobs.event_hub import EventHub


@pytest.mark.parametrize("turns", range(16))
async def test_hub_can_be_closed_at_any_moment(redis_url: str, turns: int) -> None:
    client = connect(redis_url)
    hub = EventHub(client, "ended", "changes")
    with hub.subscribe("job"):
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await hub.close()
    await client.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "job-events"]


async def test_hub_can_be_closed_without_a_server() -> None:
    client = connect("unix:///nowhere/redis.sock")
    hub = EventHub(client, "ended", "changes")
    with hub.subscribe("job") as subscription:
        await asyncio.sleep(0.05)
        await hub.close()
        assert not subscription.changed.is_set()
    await client.aclose()
