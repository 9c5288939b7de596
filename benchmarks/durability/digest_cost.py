"""What digests cost a job on its way through the queue, in ms, by the size of its pictures."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.durability.server import APPENDING, TrialServer, any_server, running
from benchmarks.durability.trial_jobs import queues_of, trial_job
from jobs.digests import digest_of
from jobs.job import Reason, RunFacts
from jobs.redis_queue import RedisQueue

FACTS = RunFacts("none", 1.0, Reason.WIDEST, 1.0, 1.0)
DIGESTS = 4
"""Of a job: of source and result, each made and compared."""


@dataclass(frozen=True)
class Row:
    """Jobs whose source and result have so many bytes each."""

    size: int
    digests_ms: float
    """All digests of a job, at the median."""
    job_ms: float
    """Its submission, claim, delivery and the reading of its result, with the digests, at the
    median."""


def time_digests(sizes: Sequence[int], jobs: int) -> Iterator[Row]:
    """Yield a row for each size, by the median of so many jobs, one after the other. Raises
    RedisUnavailableError."""
    with tempfile.TemporaryDirectory(prefix="anysr-digests-") as folder:
        server = TrialServer(any_server(), Path(folder) / "server", {**APPENDING})
        with running(server):
            for size in sizes:
                yield asyncio.run(_row(server.url, size, jobs))


async def _row(url: str, size: int, jobs: int) -> Row:
    picture, digests_ms, jobs_ms = os.urandom(size), list[float](), list[float]()
    async with queues_of(url) as (queue,):
        await _run(queue, picture)  # which loads the scripts
        for _ in range(jobs):
            began = time.perf_counter()
            await _run(queue, picture)
            ended = time.perf_counter()
            digest_of(picture)
            jobs_ms.append((ended - began) * 1e3)
            digests_ms.append((time.perf_counter() - ended) * 1e3 * DIGESTS)
    return Row(size, statistics.median(digests_ms), statistics.median(jobs_ms))


async def _run(queue: RedisQueue, picture: bytes) -> None:
    job = trial_job()
    await queue.submissions.submit(job, picture)
    claim = await queue.leases.claim("trial", 0.0)
    assert claim is not None
    await queue.leases.complete(claim, FACTS, picture)
    view = await queue.submissions.view(job.id)
    await queue.submissions.result(view)
    await queue.submissions.drop_results([view])
