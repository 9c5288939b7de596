"""The registry of a divided queue: each worker is known in its home; requests are at one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jobs.heartbeat import HeartbeatAnswer, WorkerHeartbeat
from jobs.queue import Registry
from jobs.queue_health import QueueHealth
from jobs.shards.choice import ShardChoice
from jobs.shards.home import Home
from jobs.shards.shard import Shard
from jobs.shards.together import answers_of, health_of


class ShardedRegistry(Registry):
    """`common` is the registry of what is not divided."""

    def __init__(
        self, common: Registry, shards: Sequence[Shard], home: Home, choice: ShardChoice
    ) -> None:
        self._common = common
        self._shards = shards
        self._home = home
        self._choice = choice

    async def count_worker_start(self) -> None:
        await self._common.count_worker_start()

    async def count_stuck_worker(self) -> None:
        await self._common.count_stuck_worker()

    async def publish_heartbeat(self, heartbeat: WorkerHeartbeat) -> HeartbeatAnswer:
        home = await self._home.shard()
        answer = await home.registry.publish_heartbeat(heartbeat)
        return answer._replace(
            reloads=await self._common.reloads(),
            requested_models=await self._common.requested_models(),
        )

    async def retire_worker(self, worker_id: str) -> None:
        home = await self._home.shard()
        await home.registry.retire_worker(worker_id)

    async def heartbeats(self) -> list[WorkerHeartbeat]:
        answers = await answers_of(shard.registry.heartbeats() for shard in self._shards)
        for number in range(len(self._shards)):
            self._choice.saw_workers(number, answers.get(number))
        everyone = (heartbeat for workers in answers.values() for heartbeat in workers)
        return sorted(everyone, key=lambda heartbeat: heartbeat.worker_id)

    async def request_reload(self) -> int:
        return await self._common.request_reload()

    async def reloads(self) -> int:
        return await self._common.reloads()

    async def request_model(self, model: str) -> None:
        await self._common.request_model(model)

    async def requested_models(self) -> frozenset[str]:
        return await self._common.requested_models()

    async def health(self) -> QueueHealth:
        common = await self._common.health()
        answers = await answers_of(shard.registry.health() for shard in self._shards)
        memory = common.memory
        for health in answers.values():
            memory += tuple(one for one in health.memory if one not in memory)
        return replace(health_of([common, *answers.values()]), memory=memory)
