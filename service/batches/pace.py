"""Pace: a batch submits jobs only while few wait, so that it lies beneath interactive work."""

from __future__ import annotations

import asyncio
import contextlib

from jobs.queue import Submissions
from service.snapshot import SnapshotCache

ASK_EVERY_S = 0.25


class Pace:
    """Lets jobs of batches into the queue while no more wait there than workers are ready.

    A worker that becomes free then finds one, and an interactive request finds the queue short.
    """

    def __init__(self, submissions: Submissions, snapshots: SnapshotCache) -> None:
        self._submissions = submissions
        self._snapshots = snapshots
        self._ended = asyncio.Event()

    async def room(self) -> None:
        """Wait until the queue has room. Raises ConnectionError."""
        while not await self._has_room():
            self._ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_EVERY_S):
                    await self._ended.wait()

    def job_ended(self) -> None:
        """Ask again at once: a job of a batch has ended."""
        self._ended.set()

    async def _has_room(self) -> bool:
        ready = sum(worker.ready for worker in self._snapshots.current.workers)
        return ready > 0 and (await self._submissions.stats()).queued <= ready
