"""A worker is listed as long as its heartbeat lives."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary
from jobs.heartbeat import GpuState, MachineState, WorkerHeartbeat
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

ONE = WorkerHeartbeat("one", True, ("anysr-s", "anysr-m"), {"lines": {"decode": [0.1, 2.0, 0.0]}})
MACHINE = MachineState(0.75, 0.05, 2**33, 2**34, GpuState(None, 2**30, 2**36))
TWO = WorkerHeartbeat("two", False, (), {}, busy=True, machine=MACHINE)


async def test_heartbeats_are_returned_by_id(queue: RedisQueue) -> None:
    assert await queue.registry.heartbeats() == []
    for heartbeat in (TWO, ONE):
        await queue.registry.publish_heartbeat(heartbeat)
    assert await queue.registry.heartbeats() == [ONE, TWO]


async def test_last_heartbeat_replaces_the_one_before(queue: RedisQueue) -> None:
    assert await queue.registry.publish_heartbeat(ONE) == 1
    changed = WorkerHeartbeat("one", False, (), {})
    await queue.registry.publish_heartbeat(changed)
    assert await queue.registry.heartbeats() == [changed]


async def test_retired_worker_is_gone(queue: RedisQueue) -> None:
    for heartbeat in (ONE, TWO):
        await queue.registry.publish_heartbeat(heartbeat)
    await queue.registry.retire_worker("one")
    assert await queue.registry.heartbeats() == [TWO]
    await queue.registry.publish_heartbeat(ONE)
    assert await queue.registry.heartbeats() == [ONE, TWO]


async def test_worker_without_heartbeats_expires(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    keys = Keys(queue_settings.namespace)
    await queue.registry.publish_heartbeat(ONE)
    left_ms = await raw_redis.pttl(keys.heartbeat("one"))
    assert 0 < left_ms <= queue_settings.pulse_ttl_seconds * 1000
    await raw_redis.pexpire(keys.heartbeat("one"), 1)

    async def expired() -> bool:
        return await queue.registry.heartbeats() == []

    await eventually(expired, "the end of an expired heartbeat")
    assert not await raw_redis.exists(keys.workers)


async def test_heartbeat_of_another_version_hides_no_other(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    keys = Keys(queue_settings.namespace)
    await raw_redis.set(keys.heartbeat("new"), b'{"worker_id": "new", "mood": "fine"}')
    await raw_redis.sadd(keys.workers, "new")
    await queue.registry.publish_heartbeat(ONE)
    assert await queue.registry.heartbeats() == [ONE]


async def test_heartbeat_without_optional_members_is_read(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    keys = Keys(queue_settings.namespace)
    data = b'{"worker_id": "old", "ready": true, "models": [], "costs": {}, "busy": false}'
    await raw_redis.set(keys.heartbeat("old"), data)
    await raw_redis.sadd(keys.workers, "old")
    assert await queue.registry.heartbeats() == [WorkerHeartbeat("old", True, (), {})]
