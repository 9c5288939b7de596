"""Power is lost while jobs are posted to a real gateway: what of the accepted ones is on disk.

As `power_loss`, but over HTTP: a gateway process answers `POST /jobs`, and its answer 202 is what
counts as accepted. A worker is announced that takes no job, so that each is still waiting when a
server on the copy is asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from benchmarks.durability.disk import watched
from benchmarks.durability.server import APPENDING, TrialServer, any_server, running
from benchmarks.durability.trial_jobs import SETTINGS, queues_of
from benchmarks.light_load.workers import CAPABILITIES, COSTS, MODELS
from benchmarks.local_service import running_process
from jobs.digests import digest_of
from jobs.heartbeat import WorkerHeartbeat
from jobs.redis_queue import RedisQueue

SIDE = 16
"""Rows and columns of a posted picture, whose pixels are drawn by the seed."""
BUDGET_MS = 600_000
BEAT_S = 0.5
WORKER = "announced"
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class HttpReport:
    """What became of the jobs of all rounds."""

    rounds: int
    accepted: int
    """Answers 202."""
    refused: int
    """Other answers, and connections that ended without one."""
    lost: int
    altered: int
    """Jobs with another picture than was posted."""
    lost_bytes: int
    """Bytes that the server had written and were not on disk."""


@dataclass(frozen=True)
class HttpTrial:
    """How jobs are posted, and power is lost."""

    durable: bool
    appendfsync: str
    callers: int = 8
    jobs_of_a_round: int = 250


def lose_power_over_http(
    trial: HttpTrial, jobs: int, seed: int, progress: Callable[[int], None]
) -> HttpReport:
    """Lose power, round after round, until so many jobs were accepted in all. `progress` gets their
    number. Raises RedisUnavailableError, and OSError where the disk cannot be watched."""
    chance, rounds = random.Random(seed), list[HttpReport]()
    while (accepted := sum(one.accepted for one in rounds)) < jobs:
        progress(accepted)
        with tempfile.TemporaryDirectory(prefix="anysr-http-") as name:
            most = min(trial.jobs_of_a_round, jobs - accepted)
            rounds.append(_round(Path(name), trial, most, chance))
    progress(accepted)
    return HttpReport(
        rounds=len(rounds),
        accepted=accepted,
        refused=sum(one.refused for one in rounds),
        lost=sum(one.lost for one in rounds),
        altered=sum(one.altered for one in rounds),
        lost_bytes=sum(one.lost_bytes for one in rounds),
    )


def _round(folder: Path, trial: HttpTrial, jobs: int, chance: random.Random) -> HttpReport:
    options = {**APPENDING, "appendfsync": trial.appendfsync}
    server = TrialServer(any_server(), folder / "before", options)
    posting = _Posting(trial, chance)
    with watched(server) as disk:
        environment = {"ANYSR_REDIS_URL": server.url, "ANYSR_NAMESPACE": SETTINGS.namespace}
        with running_process(0, **environment) as (gateway, _):
            asyncio.run(posting.until_killed(server, gateway, jobs))
        lost_bytes = disk.copy(server.folder, folder / "after")
    with running(TrialServer(any_server(), folder / "after", options)) as after:
        found = asyncio.run(_found(after.url))
    there = posting.accepted.keys() & found.keys()
    return HttpReport(
        rounds=1,
        accepted=len(posting.accepted),
        refused=posting.refused,
        lost=len(posting.accepted) - len(there),
        altered=sum(posting.accepted[job_id] != found[job_id] for job_id in there),
        lost_bytes=lost_bytes,
    )


async def _found(url: str) -> dict[str, str]:
    """Return the digest of the picture of each job that a queue hands out."""
    found: dict[str, str] = {}
    async with queues_of(url) as (queue,):
        while (claim := await queue.leases.claim(WORKER, 0.0)) is not None:
            found[claim.job.id] = digest_of(claim.payload)
    return found


@dataclass
class _Posting:
    """Callers that post one picture after the other until the queue's server is killed."""

    trial: HttpTrial
    chance: random.Random
    accepted: dict[str, str] = field(default_factory=dict)
    """Digest of the picture of each job."""
    refused: int = 0

    async def until_killed(self, server: TrialServer, gateway: str, jobs: int) -> None:
        """Post until so many jobs were accepted, kill the server then, and return when all answers
        are there."""
        enough = asyncio.Event()
        async with _announced(server.url), httpx.AsyncClient(base_url=gateway) as client:
            await _ready(client)
            calls = (self._call(client, jobs, enough) for _ in range(self.trial.callers))
            posting = asyncio.gather(*calls)
            await enough.wait()
            server.kill()
            await posting

    async def _call(self, client: httpx.AsyncClient, jobs: int, enough: asyncio.Event) -> None:
        wishes: dict[str, Any] = {"scale": 2, "latency_budget_ms": BUDGET_MS}
        wishes["durable"] = str(self.trial.durable).lower()
        while not enough.is_set():
            picture = _picture(self.chance)
            try:
                answer = await client.post(
                    "/jobs",
                    params=wishes,
                    content=picture,
                    headers={"Content-Type": "image/png"},
                    timeout=TIMEOUT_S,
                )
            except httpx.HTTPError:
                self.refused += 1
                continue
            if answer.status_code == httpx.codes.ACCEPTED:
                self.accepted[answer.json()["id"]] = digest_of(picture)
                if len(self.accepted) >= jobs:
                    enough.set()
            else:
                self.refused += 1
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _announced(url: str) -> AsyncIterator[None]:
    """Announce a worker meanwhile."""
    async with queues_of(url) as (queue,):
        beating = asyncio.create_task(_beat(queue))
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)


async def _beat(queue: RedisQueue) -> None:
    heartbeat = WorkerHeartbeat(WORKER, True, MODELS, COSTS, capabilities=CAPABILITIES)
    while True:
        with contextlib.suppress(ConnectionError):
            await queue.registry.publish_heartbeat(heartbeat)
        await asyncio.sleep(BEAT_S)


async def _ready(client: httpx.AsyncClient) -> None:
    """Return when the gateway counts on the worker. Raises TimeoutError."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if (await client.get("/health/ready")).status_code == httpx.codes.OK:
                return
            await asyncio.sleep(0.05)


def _picture(chance: random.Random) -> bytes:
    """Return a PNG that no other job has."""
    file = io.BytesIO()
    Image.frombytes("L", (SIDE, SIDE), chance.randbytes(SIDE * SIDE)).save(file, "PNG")
    return file.getvalue()
