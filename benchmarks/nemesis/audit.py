"""The end of a run: every job is asked for once more, and all that is left in Redis listed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.nemesis.callers import Book
from benchmarks.nemesis.history import Recorder, What
from benchmarks.nemesis.observing import ENDS, Job, Observer
from benchmarks.nemesis.topology import RESULT_TTL_S, Topology, wait_ready
from jobs.job import DeliveryKind

AT_ONCE = 4
GONE = -2
"""Redis' answer for a key that has expired since it was listed; -1 is one that never does."""
REQUESTS = 3
"""For one job, on a machine that is too busy for an answer."""
PATIENCE_S = 45.0
"""How long the jobs may take to end."""
ANNOUNCING_S = 30.0
"""The same for webhooks: one whose gateway was killed is sent again when its lease has run out."""
POLL_S = 0.3
STILL_KEPT = 0.75
"""Part of the time for which results are kept, after which none is asked for any more."""


class Audit:
    """Asks a service that nothing disturbs any more."""

    def __init__(
        self, service: Topology, observer: Observer, recorder: Recorder, book: Book
    ) -> None:
        self._service = service
        self._observer = observer
        self._recorder = recorder
        self._book = book

    async def run(self) -> None:
        """Wait until all is settled, and record how everything stands."""
        await wait_ready(self._service.urls)
        await self._until(self._is_idle, PATIENCE_S)
        await self._until(self._are_all_announced, ANNOUNCING_S)
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._ask(*item, turns) for item in self._book.jobs.items()))
        await self._list_keys()
        await self._list_members()

    async def _until(self, condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
        """Wait for a condition; the checker tells what did not come about."""
        clock = asyncio.get_running_loop()
        until = clock.time() + within_s
        while clock.time() < until and not await condition():  # noqa: ASYNC110 - others' state
            await asyncio.sleep(POLL_S)

    async def _is_idle(self) -> bool:
        client, keys = self._service.client, self._service.keys
        waiting, leased = await client.zcard(keys.pending), await client.zcard(keys.leases)
        return not waiting and not leased

    async def _are_all_announced(self) -> bool:
        """Return whether every webhook has come, and the queue knows that of each."""
        waiting = self._service.keys.waiting_deliveries(DeliveryKind.WEBHOOK)
        left = await self._service.client.zcard(waiting)
        return not left and self._book.hooks <= self._book.announced

    async def _ask(self, job_id: str, mark: int, turns: asyncio.Semaphore) -> None:
        """Record a job's end, the number of its claims, and its picture if that is kept."""
        async with turns:
            job = await self._job(job_id, mark)
            key = self._service.keys.record(job_id)
            claims = await self._service.client.hget(key, "attempt")
            count = int(claims or 0)
            self._recorder.add(What.RECORD, mark=mark, job=job_id, count=count)
            if job is None or job["status"] not in ENDS:
                return
            age_s = time.time() - job["finished_ms"] / 1e3
            if job["status"] == "succeeded" and age_s < STILL_KEPT * RESULT_TTL_S:
                await self._observer.picture(job_id, mark, "audit")

    async def _job(self, job_id: str, mark: int) -> Job | None:
        """Return a job; None where several requests get no answer."""
        for _ in range(REQUESTS):
            job = await self._observer.job(job_id, mark, "audit")
            if job is not None:
                return job
        return None

    async def _list_keys(self) -> None:
        client = self._service.client
        async for key in client.scan_iter(count=1000):
            left_s = await client.ttl(key)
            if left_s != GONE:
                self._recorder.add(What.KEY, text=str(key), until=float(left_s))

    async def _list_members(self) -> None:
        """Record the jobs in collections that have none once all have ended."""
        client, keys = self._service.client, self._service.keys
        for name in (keys.pending, keys.leases, keys.ages, keys.ends):
            for member in await client.zrange(name, 0, -1):
                self._recorder.add(What.MEMBER, text=name, job=str(member))
        for name in (keys.entries,):
            for member in await client.hkeys(name):
                self._recorder.add(What.MEMBER, text=name, job=str(member))
