"""Pace: a batch submits jobs only while few wait and Redis has memory, so that it lies beneath
interactive work."""

from __future__ import annotations

import asyncio
import contextlib

from jobs.queue import Submissions
from jobs.queue_health import QueueHealth
from service.snapshot import SnapshotCache

ASK_EVERY_S = 0.25


class Pace:
    """Lets jobs of batches into the queue while no more wait there than workers are ready.

    A worker that becomes free then finds one, and an interactive request finds the queue short.
    Results are kept for a while, so a long batch could fill Redis, for which others would pay: half
    of its memory stays theirs.
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
        snapshot = self._snapshots.current
        ready = sum(worker.ready for worker in snapshot.workers)
        if ready == 0 or not _has_memory(snapshot.health):
            return False
        return (await self._submissions.stats()).queued <= ready


def _has_memory(health: QueueHealth | None) -> bool:
    """Return whether half of the memory of each server is free; not while that is unknown."""
    return health is not None and all(
        memory.used_bytes <= memory.limit_bytes / 2 for memory in health.memory
    )
