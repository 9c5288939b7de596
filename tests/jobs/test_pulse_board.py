"""Workers are there while they say so, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary
from jobs.job import WorkerPulse
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings

pytestmark = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)

ONE = WorkerPulse("one", True, ("anysr-s", "anysr-m"), {"lines": {"decode": [0.1, 2.0, 0.0]}})
TWO = WorkerPulse("two", False, (), {}, busy=True)


async def test_pulses_are_read_back_by_id(queue: RedisQueue) -> None:
    assert await queue.pulses() == []
    for pulse in (TWO, ONE):
        await queue.publish_pulse(pulse)
    assert await queue.pulses() == [ONE, TWO]


async def test_the_last_pulse_counts(queue: RedisQueue) -> None:
    await queue.publish_pulse(ONE)
    changed = WorkerPulse("one", False, (), {})
    await queue.publish_pulse(changed)
    assert await queue.pulses() == [changed]


async def test_a_worker_that_retires_is_gone(queue: RedisQueue) -> None:
    for pulse in (ONE, TWO):
        await queue.publish_pulse(pulse)
    await queue.retire_pulse("one")
    assert await queue.pulses() == [TWO]
    await queue.publish_pulse(ONE)
    assert await queue.pulses() == [ONE, TWO]


async def test_a_silent_worker_is_forgotten(
    redis_url: str,
    raw_redis: Redis,
    queue_settings: QueueSettings,
    open_queue: Callable[[str, QueueSettings], RedisQueue],
) -> None:
    settings = queue_settings.model_copy(update={"pulse_ttl_seconds": 0.1})
    queue = open_queue(redis_url, settings)
    await queue.publish_pulse(ONE)
    assert await queue.pulses() == [ONE]
    await asyncio.sleep(0.15)
    assert await queue.pulses() == []
    assert not await raw_redis.exists(Keys(settings.namespace).workers)


async def test_a_pulse_of_another_version_hides_no_other(
    queue: RedisQueue, raw_redis: Redis, queue_settings: QueueSettings
) -> None:
    keys = Keys(queue_settings.namespace)
    await raw_redis.set(keys.pulse("new"), b'{"worker_id": "new", "mood": "fine"}')
    await raw_redis.sadd(keys.workers, "new")
    await queue.publish_pulse(ONE)
    assert await queue.pulses() == [ONE]
