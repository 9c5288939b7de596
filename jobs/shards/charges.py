"""What a job of a client with limits costs it, counted before a shard accepts the job: the counters
of clients are on one server, whatever shard gets the job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

from jobs.client_limits import ClientLimits
from jobs.connection import SteadyRedis
from jobs.job import Job
from jobs.keys import Keys
from jobs.outages import OUTAGES, reports_outages
from jobs.redis_clients import optional
from jobs.redis_submissions import over
from jobs.scripts import Scripts
from jobs.shards.ids import shard_of
from jobs.shards.shard import Shard

NOTE_S = 120
"""How long a charge is known as such, so that it is counted, and taken back, once: longer than all
attempts of a submission."""


class Charges:
    """Charges clients for jobs, and takes that back."""

    def __init__(
        self, client: SteadyRedis, keys: Keys, scripts: Scripts, shards: Sequence[Shard]
    ) -> None:
        self._client = client
        self._keys = keys
        self._scripts = scripts
        self._shards = shards

    @reports_outages
    async def charge(self, job: Job, limits: ClientLimits) -> None:
        """Count a job for its client. Raises QuotaExceeded and TooManyJobs."""
        waiting = 0 if limits.jobs_waiting is None else await self._waiting(limits)
        answer = await self._scripts.run(
            *("charge", job.id, _pixels(job), optional(limits.pixels_per_day)),
            *(optional(limits.jobs_waiting), waiting, NOTE_S),
            client=limits.client,
        )
        if answer[0] == b"over":
            raise over(job, limits, *answer[1:])

    async def refund(self, job: Job, limits: ClientLimits) -> None:
        """Take back what `charge` has counted. In an outage it stays counted."""
        with contextlib.suppress(*OUTAGES):
            await self._scripts.run("refund", job.id, _pixels(job), client=limits.client)

    async def _waiting(self, limits: ClientLimits) -> int:
        """Return how many jobs of a client wait in all shards, no more than its limit. Only where
        it has so many jobs at all, they are looked at; ended ones are forgotten then."""
        name, most = self._keys.client_jobs(limits.client), limits.jobs_waiting or 0
        if await self._client.scard(name) < most:
            return 0
        of_shard: dict[int, list[str]] = {}
        members: list[bytes] = await self._client.execute_command("SMEMBERS", name)
        for member in members:
            job_id = member.decode()
            of_shard.setdefault(shard_of(job_id, len(self._shards)), []).append(job_id)
        waiting, ended = 0, list[str]()
        for number, ids in of_shard.items():
            in_shard, over_there = await _states(self._shards[number], ids)
            waiting, ended = waiting + in_shard, [*ended, *over_there]
        if ended:
            await self._client.srem(name, *ended)
        return waiting


async def _states(shard: Shard, ids: Sequence[str]) -> tuple[int, Iterable[str]]:
    """Return how many of some jobs wait in a shard, and which neither wait nor run."""
    scores: list[list[Any]] = await shard.client.together(
        ("ZMSCORE", shard.keys.pending, *ids), ("ZMSCORE", shard.keys.leases, *ids)
    )
    rows = list(zip(ids, *scores, strict=True))
    waiting = sum(pending is not None for _, pending, _ in rows)
    return waiting, [name for name, pending, lease in rows if pending is None and lease is None]


def _pixels(job: Job) -> int:
    return job.output_width * job.output_height
