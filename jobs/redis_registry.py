"""The registry on Redis: heartbeats, requests to all processes, and the queue's counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from jobs.batch import ItemState
from jobs.blob_index import BlobIndex
from jobs.codec import PROFILE, WORKER_STATE, Codec, CodecError, T
from jobs.connection import SteadyRedis
from jobs.errors import InternalError
from jobs.heartbeat import HeartbeatAnswer, WorkerHeartbeat
from jobs.heartbeat_parts import (
    WorkerProfile,
    digest_of,
    heartbeat_of,
    profile_field,
    profile_of,
    state_of,
)
from jobs.job import DeliveryKind
from jobs.keys import Keys
from jobs.outages import reports_outages
from jobs.queue import Registry
from jobs.queue_health import QueueHealth, RedisMemory
from jobs.scripts import Beat, Scripts

MODEL_REQUEST_S = 3600
"""How long workers that start load the models that were requested before."""


class RedisRegistry(Registry):
    """States and profiles of workers, and a few counters.

    `servers` are the Redis servers whose memory `health` reports, by what they hold; `index` is
    that of the bucket of the pictures, if they are in one.
    """

    def __init__(
        self,
        client: SteadyRedis,
        keys: Keys,
        scripts: Scripts,
        heartbeat_ttl_s: float,
        servers: Mapping[str, Redis],
        index: BlobIndex | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._ttl_ms = round(heartbeat_ttl_s * 1000)
        self._servers = servers
        self._index = index
        self._sent: dict[str, str] = {}
        """Digest of the last profile that was sent for each worker of this process."""
        self._profiles: dict[str, WorkerProfile | None] = {}
        """Of the live workers, by `profile_field`; None for one that cannot be read."""

    @reports_outages
    async def count_worker_start(self) -> None:
        await self._client.hincrby(self._keys.counts, "worker_starts", 1)

    @reports_outages
    async def count_stuck_worker(self) -> None:
        await self._client.hincrby(self._keys.counts, "stuck_workers", 1)

    @reports_outages
    async def publish_heartbeat(self, heartbeat: WorkerHeartbeat) -> HeartbeatAnswer:
        worker_id, profile = heartbeat.worker_id, PROFILE.encode(profile_of(heartbeat))
        state, digest = WORKER_STATE.encode(state_of(heartbeat)), digest_of(profile)
        known = self._sent.get(worker_id) == digest
        beat = Beat(worker_id, digest, state, b"" if known else profile, heartbeat.capabilities)
        answer = await self._scripts.heartbeat(beat, self._ttl_ms)
        if answer is None:  # another server, or the worker was forgotten
            answer = await self._scripts.heartbeat(beat._replace(profile=profile), self._ttl_ms)
        if answer is None:
            raise InternalError("the server did not take the worker's profile")
        self._sent[worker_id] = digest
        live, reloads, models = answer
        return HeartbeatAnswer(int(live), int(reloads), frozenset(name.decode() for name in models))

    @reports_outages
    async def retire_worker(self, worker_id: str) -> None:
        self._sent.pop(worker_id, None)
        await self._scripts.retire(worker_id)

    @reports_outages
    async def heartbeats(self) -> list[WorkerHeartbeat]:
        states = [
            (digest, _read(WORKER_STATE, data)) for digest, data in await self._scripts.states()
        ]
        named = [
            (profile_field(state.worker_id, digest), state)
            for digest, state in states
            if state is not None
        ]
        await self._read_profiles([name for name, _ in named])
        alive = [
            heartbeat_of(state, profile)
            for name, state in named
            if (profile := self._profiles.get(name)) is not None
        ]
        return sorted(alive, key=lambda heartbeat: heartbeat.worker_id)

    async def _read_profiles(self, names: Sequence[str]) -> None:
        """Read the profiles that are not known yet, and forget those of others."""
        new = [name for name in names if name not in self._profiles]
        found = await self._scripts.profiles(new) if new else []
        read = {
            name: _read(PROFILE, data)
            for name, data in zip(new, found, strict=True)
            if data is not None
        }
        kept = {name: self._profiles[name] for name in names if name in self._profiles}
        self._profiles = {**kept, **read}

    @reports_outages
    async def request_reload(self) -> int:
        return int(await self._client.incr(self._keys.reloads))

    @reports_outages
    async def reloads(self) -> int:
        return int(await self._client.get(self._keys.reloads) or 0)

    @reports_outages
    async def request_model(self, model: str) -> None:
        name = self._keys.requested_models
        answers = await self._client.together(
            ("SADD", name, model), ("EXPIRE", name, MODEL_REQUEST_S)
        )
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer

    @reports_outages
    async def requested_models(self) -> frozenset[str]:
        names = await self._client.smembers(self._keys.requested_models)
        return frozenset(n.decode() if isinstance(n, bytes) else n for n in names)

    @reports_outages
    async def health(self) -> QueueHealth:
        counts: Mapping[Any, Any] = await self._client.hgetall(self._keys.counts)
        waiting = {
            kind: int(await self._client.zcard(self._keys.waiting_deliveries(kind)))
            for kind in DeliveryKind
        }
        memory = [await _memory(holds, server) for holds, server in self._servers.items()]
        return QueueHealth(
            redeliveries=int(counts.get(b"redeliveries", 0)),
            dead_letters=int(counts.get(b"dead_letters", 0)),
            worker_starts=int(counts.get(b"worker_starts", 0)),
            stuck_workers=int(counts.get(b"stuck_workers", 0)),
            webhooks_delivered=int(counts.get(b"webhooks_delivered", 0)),
            webhook_failures=int(counts.get(b"webhook_failures", 0)),
            webhooks_dead=int(counts.get(b"webhooks_dead", 0)),
            webhooks_waiting=waiting[DeliveryKind.WEBHOOK],
            results_delivered=int(counts.get(b"results_delivered", 0)),
            result_failures=int(counts.get(b"result_failures", 0)),
            results_dead=int(counts.get(b"results_dead", 0)),
            results_waiting=waiting[DeliveryKind.RESULT],
            batches_open=int(await self._client.zcard(self._keys.batches)),
            batch_sources={
                state.value: int(counts.get(f"batch_sources_{state}".encode(), 0))
                for state in ItemState
                if state.ended
            },
            memory=tuple(known for known in memory if known is not None),
            bucket=None if self._index is None else await self._index.fill(),
        )


def _read(codec: Codec[T], data: bytes) -> T | None:
    """Return what the bytes describe; None where another version has written them."""
    try:
        return codec.decode(data)
    except CodecError:
        return None


async def _memory(holds: str, server: Redis) -> RedisMemory | None:
    """Return a server's memory use; None where a hosted one does not report it."""
    try:
        info: Mapping[str, Any] = await server.info("memory")
    except ResponseError:
        return None
    limit = int(info.get("maxmemory", 0)) or int(info.get("total_system_memory", 0))
    return RedisMemory(holds, int(info["used_memory"]), limit) if limit else None
