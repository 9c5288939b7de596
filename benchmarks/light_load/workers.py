"""Light workers: each claims, renews, looks for urgent jobs, completes and sends heartbeats by the
code of `jobs`, at the pace of a real worker, but makes no picture."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from pathlib import Path
from typing import Any

from benchmarks.light_load.latencies import Latencies
from benchmarks.light_load.load import LightLoad
from jobs.connected_queue import connect_queue
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import LADDER, Claim, Reason, RunFacts
from jobs.queue import Gap

HEARTBEAT_S = 1.0
RENEWAL_S = 1.0
"""As `workers.main` has them."""
RESULT = bytes(20_000)
COSTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "costs" / "two-cores.json").read_text()
)
WIDTHS = ("0.25", "0.5", "0.75", "1")
MODELS = ("anysr-xs", "anysr-s", "anysr-m", "anysr-l")
CAPABILITIES = (LADDER, *MODELS, *(f"{model}@{width}" for model in MODELS for width in WIDTHS))


def run_workers(load: LightLoad, numbers: range) -> dict[str, list[float]]:
    """Run some of the workers to the end of the load; return the ms of their calls."""
    return asyncio.run(_run(load, numbers))


async def _run(load: LightLoad, numbers: range) -> dict[str, list[float]]:
    latencies = Latencies()
    await asyncio.gather(*(LightWorker(load, n, latencies).work() for n in numbers))
    return latencies.plain()


class LightWorker:
    """One worker, with a queue of its own, as a process has."""

    def __init__(self, load: LightLoad, number: int, latencies: Latencies) -> None:
        self._load = load
        self._latencies = latencies
        self._id = f"light-{number}"
        self._random = random.Random(number)
        self._queue = connect_queue(load.url, load.queue_settings)

    async def work(self) -> None:
        """Work until the end of the load."""
        await asyncio.sleep(self._random.random() * max(0.0, self._load.begins - time.time()))
        beating = asyncio.create_task(self._beat())
        try:
            await self._work()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await self._queue.close()

    async def _work(self) -> None:
        claim: Claim | None = None
        while time.time() < self._load.ends:
            try:
                claim = await (self._claim() if claim is None else self._run(claim))
            except ConnectionError:
                self._latencies.of["failed"].append(0.0)
                claim = None

    async def _claim(self) -> Claim | None:
        return await self._queue.leases.claim(self._id, 1.0, None, lambda: CAPABILITIES)

    async def _run(self, claim: Claim) -> Claim | None:
        """Run a job for its time, and return the next one if there is one."""
        run_ms = self._random.uniform(0.5, 1.5) * self._load.run_s * 1e3
        leases, timed = self._queue.leases, self._latencies.timed
        with timed("expected end"):
            await leases.report_expected_end(claim, run_ms)
        renewing = asyncio.create_task(self._renew(claim))
        looking = asyncio.create_task(self._look(run_ms))
        await asyncio.sleep(run_ms / 1e3)
        for task in (renewing, looking):
            task.cancel()
        await asyncio.gather(renewing, looking, return_exceptions=True)
        facts = RunFacts("anysr-m", 1.0, Reason.WIDEST, run_ms, run_ms)
        with timed("complete and claim"):
            done = await leases.complete_and_claim(claim, facts, RESULT, self._id, CAPABILITIES)
        return done.following

    async def _renew(self, claim: Claim) -> None:
        progress = 0.0
        if claim.handed_over:
            await self._queue.leases.renew(claim, progress)
        while True:
            await asyncio.sleep(RENEWAL_S)
            progress += RENEWAL_S / self._load.run_s / 2
            with self._latencies.timed("renew"):
                await self._queue.leases.renew(claim, progress)

    async def _look(self, run_ms: float) -> None:
        """Look for urgent jobs; the run can spare no time, so it gives way to none."""
        while self._load.looks_s:
            await asyncio.sleep(self._load.looks_s)
            with self._latencies.timed("look"):
                await self._queue.leases.claim_urgent(self._id, Gap(run_ms, 0.001), CAPABILITIES)

    async def _beat(self) -> None:
        heartbeat = WorkerHeartbeat(self._id, True, MODELS, COSTS, capabilities=CAPABILITIES)
        registry = self._queue.registry
        while True:
            with contextlib.suppress(ConnectionError), self._latencies.timed("heartbeat"):
                await registry.publish_heartbeat(heartbeat)
            await asyncio.sleep(HEARTBEAT_S)
