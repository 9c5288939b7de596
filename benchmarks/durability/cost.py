"""What durability costs a submission, in ms, by the number of callers at once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.durability.server import APPENDING, TrialServer, any_server, running
from benchmarks.durability.trial_jobs import Promise, Submitting, queues_of

WAYS = (
    ("everysec", Promise.NONE),
    ("always", Promise.NONE),
    ("always", Promise.DURABLE),
)
"""(appendfsync, promise)."""
SETTLING = 20
"""Submissions that load scripts and connect, and do not count."""


@dataclass(frozen=True)
class Row:
    """Submissions of one kind by so many callers, each of whom sends one after the other."""

    appendfsync: str
    promise: Promise
    callers: int
    p50_ms: float
    p99_ms: float
    per_second: float


def time_submissions(callers: Sequence[int], seconds: float) -> Iterator[Row]:
    """Yield a row for each way and number of callers, measured for so long on a server of its own.
    Raises RedisUnavailableError."""
    for appendfsync, promise in WAYS:
        for number in callers:
            yield asyncio.run(_row(appendfsync, promise, number, seconds))


async def _row(appendfsync: str, promise: Promise, callers: int, seconds: float) -> Row:
    submitting, stop = Submitting(promise), asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="anysr-cost-") as folder:
        options = {**APPENDING, "appendfsync": appendfsync}
        with running(TrialServer(any_server(), Path(folder) / "server", options)) as server:
            async with queues_of(server.url) as queues:
                asyncio.get_running_loop().call_later(seconds, stop.set)
                await submitting.run(queues, callers, stop)
    times_ms = [1e3 * time_s for time_s in submitting.times_s[SETTLING:]]
    p50, p99 = np.percentile(times_ms, [50, 99])
    return Row(appendfsync, promise, callers, p50, p99, len(submitting.times_s) / seconds)
