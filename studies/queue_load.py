"""Latency of a claim, and of the calls around it, while many jobs wait on a real Redis.

The time of a claim includes the script that returns the backlog, both ways of the connection, the
picture's bytes, and parsing. Jobs are spread over so many slots that the backlog has its full
length.

Figures: ARCHITECTURE.md, "The queue".
Run: python -m studies.queue_load --waiting 10 1000 10000
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.embedded_redis import Binary, embedded_redis
from jobs.formats import ImageFormat
from jobs.job import Claim, Job, OnMiss, Reason, RunFacts
from jobs.redis_queue import RedisQueue
from jobs.settings import QueueSettings
from studies.arguments import parser_of

SUBMITS_AT_ONCE = 32
PREDICTED_MS = 40.0
FACTS = RunFacts("none", 1.0, Reason.WIDEST, PREDICTED_MS, PREDICTED_MS)
PICTURE = bytes(20_000)


@dataclass(frozen=True)
class Latency:
    """Percentiles of the latency of one call, in ms."""

    p50: float
    p99: float


async def time_queue(
    url: str, waiting: int, running: int = 16, spread_ms: float = 600_000.0, claims: int = 500
) -> dict[str, Latency]:
    """Return the latencies of `claim` and the calls around it, over `claims` calls in sequence.

    Meanwhile at least `waiting` jobs wait, with latest starts over the next `spread_ms`, and
    `running` others run.
    """
    settings = QueueSettings(
        namespace=f"bench-{uuid.uuid4().hex}", queue_limit=2 * waiting + running, lease_seconds=600
    )
    queue = RedisQueue.connect(url, settings)
    try:
        await _fill(queue, waiting + running, spread_ms)
        for _ in range(running):
            await queue.leases.report_expected_end(await _claim(queue), PREDICTED_MS)
        times = [await _turn(queue, waiting + n, spread_ms) for n in range(claims)]
    finally:
        await queue.close()
    return {call: _latency([turn[call] for turn in times]) for call in times[0]}


async def _fill(queue: RedisQueue, number: int, spread_ms: float) -> None:
    turns = asyncio.Semaphore(SUBMITS_AT_ONCE)

    async def submit(place: int) -> None:
        async with turns:
            await queue.submissions.submit(_job(place, spread_ms), PICTURE)

    await asyncio.gather(*(submit(place) for place in range(number)))


def _job(place: int, spread_ms: float) -> Job:
    golden = (place * 0.6180339887) % 1  # spreads any number of jobs evenly
    return Job(
        id=uuid.uuid4().hex,
        source_width=256,
        source_height=192,
        output_width=512,
        output_height=384,
        output_format=ImageFormat.JPEG,
        quality=None,
        model="none",
        pinned_width=None,
        on_miss=OnMiss.DEGRADE,
        budget_ms=60_000.0 + golden * spread_ms,
        cheapest_ms=5.0,
        narrowest_ms=0.0,
        overhead_ms=0.0,
    )


async def _claim(queue: RedisQueue) -> Claim:
    claim = await queue.leases.claim("bench", 0)
    if claim is None:
        raise RuntimeError("no job is waiting")
    return claim


async def _turn(queue: RedisQueue, place: int, spread_ms: float) -> dict[str, float]:
    """Submit one job and complete another; return the ms of each call."""
    times = [time.perf_counter()]
    await queue.submissions.submit(_job(place, spread_ms), PICTURE)
    times.append(time.perf_counter())
    claim = await _claim(queue)
    times.append(time.perf_counter())
    await queue.leases.report_expected_end(claim, PREDICTED_MS)
    times.append(time.perf_counter())
    await queue.leases.complete(claim, FACTS, PICTURE)
    times.append(time.perf_counter())
    await queue.submissions.stats()
    times.append(time.perf_counter())
    calls = ("submit", "claim", "expected end", "complete", "stats")
    return dict(zip(calls, 1e3 * np.diff(times), strict=True))


def _latency(values: list[float]) -> Latency:
    p50, p99 = np.percentile(values, (50, 99))
    return Latency(float(p50), float(p99))


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.queue_load", __doc__)
    waiting = [10, 1000, 10_000]
    parser.add_argument("--waiting", type=int, nargs="+", default=waiting, help="waiting jobs")
    parser.add_argument("--running", type=int, default=16, help="running jobs")
    parser.add_argument("--claims", type=int, default=500, help="timed claims")
    parser.add_argument(
        "--server", type=Binary, choices=list(Binary), help="server to start; default: the usual"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the latencies with more and more jobs in the queue."""
    given = arguments_of(arguments)
    print(f"{'waiting':>8}  {'call':<13}{'p50 ms':>8}{'p99 ms':>8}")
    for waiting in given.waiting:
        with embedded_redis(given.server) as url:
            found = asyncio.run(time_queue(url, waiting, given.running, claims=given.claims))
        for call, latency in found.items():
            print(f"{waiting:>8}  {call:<13}{latency.p50:>8.2f}{latency.p99:>8.2f}")


if __name__ == "__main__":
    main()
