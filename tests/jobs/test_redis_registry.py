"""A worker is listed as long as its heartbeat lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from jobs.embedded_redis import Binary
from jobs.heartbeat import GpuState, MachineState, WorkerHeartbeat
from jobs.heartbeat_parts import LASTING_COSTS, profile_field, state_of
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.scripts import Beat, Scripts
from jobs.settings import QueueSettings
from scheduling.cost_model import CostModel
from tests.support.waiting import eventually

on_each_server = pytest.mark.parametrize("redis_url", list(Binary), indirect=True)
OpenQueue = Callable[[str, QueueSettings], RedisQueue]

ONE = WorkerHeartbeat("one", True, ("anysr-s", "anysr-m"), {"lines": {"decode": [0.1, 2.0, 0.0]}})
MACHINE = MachineState(0.75, 0.05, 2**33, 2**34, GpuState(None, 2**30, 2**36))
TWO = WorkerHeartbeat("two", False, (), {}, busy=True, machine=MACHINE)


@on_each_server
async def test_heartbeats_are_returned_by_id(queue: RedisQueue) -> None:
    assert await queue.registry.heartbeats() == []
    for heartbeat in (TWO, ONE):
        await queue.registry.publish_heartbeat(heartbeat)
    assert await queue.registry.heartbeats() == [ONE, TWO]


@on_each_server
async def test_last_heartbeat_replaces_the_one_before(queue: RedisQueue) -> None:
    assert (await queue.registry.publish_heartbeat(ONE)).live_workers == 1
    changed = WorkerHeartbeat("one", False, (), {})
    await queue.registry.publish_heartbeat(changed)
    assert await queue.registry.heartbeats() == [changed]


@on_each_server
async def test_retired_worker_is_gone(queue: RedisQueue) -> None:
    for heartbeat in (ONE, TWO):
        await queue.registry.publish_heartbeat(heartbeat)
    await queue.registry.retire_worker("one")
    assert await queue.registry.heartbeats() == [TWO]
    await queue.registry.publish_heartbeat(ONE)
    assert await queue.registry.heartbeats() == [ONE, TWO]


@on_each_server
async def test_worker_without_heartbeats_expires(
    redis_url: str, queue_settings: QueueSettings, open_queue: OpenQueue
) -> None:
    brief = open_queue(redis_url, queue_settings.model_copy(update={"pulse_ttl_seconds": 0.1}))
    await brief.registry.publish_heartbeat(ONE)

    async def expired() -> bool:
        return await brief.registry.heartbeats() == []

    await eventually(expired, "the end of an expired heartbeat")
    assert (await brief.registry.publish_heartbeat(TWO)).live_workers == 1
    assert await brief.registry.heartbeats() == [TWO]


@on_each_server
async def test_forgotten_worker_leaves_nothing(
    queue: RedisQueue, raw_redis: Redis, keys: Keys
) -> None:
    await queue.registry.publish_heartbeat(ONE)
    await raw_redis.zadd(keys.workers, {"one": 1.0})  # silent since 1970
    await raw_redis.delete(keys.swept)
    await queue.registry.publish_heartbeat(TWO)
    assert await queue.registry.heartbeats() == [TWO]
    await queue.registry.retire_worker("two")
    assert not await raw_redis.exists(keys.workers, keys.worker_states, keys.worker_profiles)


@on_each_server
async def test_registry_expires_with_its_last_worker(
    queue: RedisQueue, raw_redis: Redis, keys: Keys
) -> None:
    await queue.registry.publish_heartbeat(ONE)
    for name in (keys.workers, keys.worker_states, keys.worker_profiles):
        assert 0 < await raw_redis.ttl(name) < 120


@on_each_server
async def test_heartbeat_brings_what_a_worker_asks_for(queue: RedisQueue) -> None:
    await queue.registry.publish_heartbeat(TWO)
    await queue.registry.request_reload()
    await queue.registry.request_model("anysr-l")
    answer = await queue.registry.publish_heartbeat(ONE)
    assert answer == (2, 1, frozenset({"anysr-l"}))


@on_each_server
async def test_profile_is_sent_and_read_only_when_it_changes(
    redis_url: str,
    queue_settings: QueueSettings,
    open_queue: OpenQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker, gateway = (open_queue(redis_url, queue_settings) for _ in range(2))
    sent, read, send, fetch = [], 0, Scripts.heartbeat, Scripts.profiles

    async def sending(scripts: Scripts, beat: Beat, ttl_ms: int) -> list[Any] | None:
        sent.append(bool(beat.profile))
        return await send(scripts, beat, ttl_ms)

    async def fetching(scripts: Scripts, fields: Sequence[str]) -> list[bytes | None]:
        nonlocal read
        read += len(fields)
        return await fetch(scripts, fields)

    monkeypatch.setattr(Scripts, "heartbeat", sending)
    monkeypatch.setattr(Scripts, "profiles", fetching)
    first = replace(ONE, costs={"lines": {"decode": [0.1, 2.0, 0.0]}, "margin": 1.2})
    busy = replace(first, busy=True, costs={**first.costs, "margin": 1.3}, machine=MACHINE)
    measured = replace(busy, costs={**busy.costs, "lines": {"decode": [0.2, 2.0, 0.0]}})
    for beat, profiles_read in ((first, 1), (busy, 1), (measured, 2), (busy, 3)):
        await worker.registry.publish_heartbeat(beat)
        assert await gateway.registry.heartbeats() == [beat]
        assert await gateway.registry.heartbeats() == [beat]
        assert read == profiles_read
    assert sent == [True, False, True, True]


@on_each_server
async def test_server_that_lost_a_profile_gets_it_again(
    queue: RedisQueue, raw_redis: Redis, keys: Keys
) -> None:
    await queue.registry.publish_heartbeat(ONE)
    await raw_redis.delete(keys.workers, keys.worker_states, keys.worker_profiles)  # another server
    await queue.registry.publish_heartbeat(ONE)
    assert await queue.registry.heartbeats() == [ONE]


@on_each_server
async def test_heartbeat_of_another_version_hides_no_other(
    queue: RedisQueue, raw_redis: Redis, keys: Keys
) -> None:
    await raw_redis.hset(keys.worker_states, "new", b'1e15:0:{"worker_id": "new", "mood": "fine"}')
    state = b'1e15:1:{"worker_id": "newer", "ready": true, "learnt": {}}'
    await raw_redis.hset(keys.worker_states, "newer", state)
    await raw_redis.hset(keys.worker_profiles, profile_field("newer", "1"), b'{"mood": "fine"}')
    await queue.registry.publish_heartbeat(ONE)
    assert await queue.registry.heartbeats() == [ONE]


@on_each_server
async def test_heartbeat_without_optional_members_is_read(
    queue: RedisQueue, raw_redis: Redis, keys: Keys
) -> None:
    state = b'1e15:0:{"worker_id": "old", "ready": true, "learnt": {}}'
    await raw_redis.hset(keys.worker_states, "old", state)
    profile = b'{"models": [], "costs": {}}'
    await raw_redis.hset(keys.worker_profiles, profile_field("old", "0"), profile)
    assert await queue.registry.heartbeats() == [WorkerHeartbeat("old", True, (), {})]


def test_parts_of_a_cost_model_that_hardly_change_are_in_the_profile() -> None:
    costs = CostModel().to_dict()
    assert set(LASTING_COSTS) < set(costs)
    heartbeat = WorkerHeartbeat("w", True, (), costs)
    assert set(state_of(heartbeat).learnt) == set(costs) - set(LASTING_COSTS)
