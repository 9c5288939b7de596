"""The hub can be closed at any moment."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio.connection import AbstractConnection

from jobs.connection import connect
from jobs.event_hub import EventHub
from jobs.keys import Keys
from tests.support.waiting import PATIENCE_S, eventually


@pytest.mark.parametrize("turns", range(16))
async def test_hub_can_be_closed_at_any_moment(redis_url: str, turns: int) -> None:
    client = connect(redis_url)
    hub = EventHub(client, Keys("t"))
    with hub.subscribe("job"):
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_S):
            await hub.close()
    await client.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "job-events"]


async def test_hub_can_be_closed_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    client, attempts = connect("unix:///nowhere/redis.sock"), 0
    connecting = client._connected

    async def counted() -> AbstractConnection:
        nonlocal attempts
        attempts += 1
        return await connecting()

    monkeypatch.setattr(client, "_connected", counted)
    monkeypatch.setattr("jobs.event_hub.RECONNECT_S", 0.01)
    hub = EventHub(client, Keys("t"))
    with hub.subscribe("job") as subscription:
        await eventually(lambda: attempts > 1, "a second attempt to connect")
        await hub.close()
        assert not subscription.changed.is_set()
    await client.aclose()
