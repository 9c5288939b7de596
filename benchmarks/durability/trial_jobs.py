"""Jobs whose pictures name them, so that one that gets another's picture is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from benchmarks.durability.server import TrialServer
from jobs.connection import SteadyRedis
from jobs.errors import AnysrError
from jobs.formats import ImageFormat
from jobs.job import Job, OnMiss
from jobs.keys import Keys
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from jobs.terms import Terms

SETTINGS = QueueSettings(
    namespace="trial", queue_limit=1_000_000, payload_ttl_seconds=7200, lease_seconds=600
)
LARGEST_PICTURE = 4096
"""Bytes; the trial is of the number of jobs, not of their size."""


WAITAOF = (("SET", "trial", ""), ("WAITAOF", 1, 0, 5000))
"""Waits for all that was written before, also on other connections."""


READ_AT_ONCE = 1000


class Promise(StrEnum):
    """What the answer to a submission waits for."""

    NONE = "none"
    """Nothing: the answer is that of a job that is not durable."""
    DURABLE = "durable"
    WAITAOF = "waitaof"
    """WAITAOF alone, whatever the server's settings."""


class Accepted(NamedTuple):
    """A job that the queue has answered for."""

    job_id: str
    at: float
    """Moment of the answer, by time.monotonic()."""


def picture_of(job_id: str) -> bytes:
    """Return the picture of a job: bytes that no other job has, and always the same."""
    chance = random.Random(job_id)
    return job_id.encode() + chance.randbytes(chance.randrange(LARGEST_PICTURE))


def trial_job() -> Job:
    """Return a job that can wait for a long time."""
    return Job(
        id=uuid.uuid4().hex,
        source_width=64,
        source_height=64,
        output_width=128,
        output_height=128,
        output_format=ImageFormat.PNG,
        quality=None,
        model=None,
        pinned_width=None,
        on_miss=OnMiss.DEGRADE,
        budget_ms=3_600_000.0,
        cheapest_ms=1.0,
        narrowest_ms=1.0,
        overhead_ms=0.0,
    )


@asynccontextmanager
async def queues_of(
    url: str, number: int = 1, settings: QueueSettings = SETTINGS
) -> AsyncIterator[list[RedisQueue]]:
    """Connect queues, as so many gateways do, and close them afterwards."""
    queues = [RedisQueue.connect(url, settings) for _ in range(number)]
    try:
        yield queues
    finally:
        for queue in queues:
            await queue.close()


@dataclass
class Submitting:
    """Callers that submit one job after the other until they are stopped."""

    promise: Promise
    accepted: list[Accepted] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    """Of each answer."""
    refused: int = 0
    """Answers that promised nothing: an outage, or a disk that did not confirm."""

    async def run(
        self,
        queues: list[RedisQueue],
        callers: int,
        stop: asyncio.Event,
        waiting: SteadyRedis | None = None,
    ) -> None:
        """Submit until `stop` is set; a call that is under way then is finished. With `waiting`,
        each job waits for WAITAOF alone."""
        terms = Terms(durable=self.promise is Promise.DURABLE)

        async def call(queue: RedisQueue) -> None:
            while not stop.is_set():
                job, began = trial_job(), time.monotonic()
                try:
                    await queue.submissions.submit(job, picture_of(job.id), terms=terms)
                    if waiting is not None:
                        await waiting.together(*WAITAOF)
                except (ConnectionError, AnysrError, RedisError):
                    self.refused += 1
                    await asyncio.sleep(0.05)
                    continue
                ended = time.monotonic()
                self.accepted.append(Accepted(job.id, ended))
                self.times_s.append(ended - began)

        await asyncio.gather(*(call(queues[n % len(queues)]) for n in range(callers)))


@dataclass(frozen=True)
class Found:
    """What a queue hands out when all of its jobs are claimed."""

    whole: frozenset[str]
    """Ids of jobs with their own pictures."""
    foreign: frozenset[str]
    """Ids of jobs with the picture of another job."""
    altered: frozenset[str]
    """Ids of jobs with bytes that are no job's."""


class Sorting:
    """Sorts jobs by the pictures that they have."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._foreign: set[str] = set()
        self._altered: set[str] = set()

    def sort(self, job_id: str, picture: bytes) -> None:
        """Take notice of a job with its picture."""
        if picture == picture_of(job_id):
            self._whole.add(job_id)
        elif named_by(picture) not in (None, job_id):
            self._foreign.add(job_id)
        else:
            self._altered.add(job_id)

    def found(self) -> Found:
        """Return what was sorted."""
        return Found(*map(frozenset, (self._whole, self._foreign, self._altered)))


async def claim_all(queue: RedisQueue) -> Found:
    """Claim jobs until none waits. Raises the errors of a claim."""
    found = Sorting()
    while (claim := await queue.leases.claim("trial", 0.0)) is not None:
        found.sort(claim.job.id, claim.payload)
    return found.found()


def waiting_jobs(server: TrialServer) -> Found:
    """Return the jobs that wait on a server, as `claim_all` does, without claiming them, which
    takes a millisecond for each."""
    found, keys = Sorting(), Keys(SETTINGS.namespace)
    with contextlib.closing(server.client()) as client:
        waiting: Any = client.zrange(keys.pending, 0, -1)
        job_ids = [name.decode() for name in waiting]
        for first in range(0, len(job_ids), READ_AT_ONCE):
            some = job_ids[first : first + READ_AT_ONCE]
            pictures: Any = client.mget(map(keys.payload, some))
            for job_id, picture in zip(some, pictures, strict=True):
                found.sort(job_id, picture or b"")
    return found.found()


def named_by(picture: bytes) -> str | None:
    """Return the job whose picture this is; None for that of no job."""
    job_id = picture[:32].decode("latin-1")
    return job_id if picture == picture_of(job_id) else None
