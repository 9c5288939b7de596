"""Holding on to a job while it is made, and hearing when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from jobs.job import Claim, LeaseState
from jobs.queue import JobQueue
from workers.making import Progress
from workers.pauses import happens

log = logging.getLogger("anysr.workers.lease")


class Lease:
    """What has become of the lease so far."""

    def __init__(self) -> None:
        self.state = LeaseState.HELD


@contextlib.asynccontextmanager
async def held(
    queue: JobQueue, claim: Claim, progress: Progress, every_s: float
) -> AsyncIterator[Lease]:
    """Renew a claim's lease every `every_s` seconds and stop the making once it is not held."""
    lease, done = Lease(), asyncio.Event()
    task = asyncio.create_task(_renew(queue, claim, progress, lease, done, every_s))
    try:
        yield lease
    finally:
        progress.stop()
        # Ended by an event, not cancelled: a cancelled call would cost its connection.
        done.set()
        await task


async def _renew(
    queue: JobQueue,
    claim: Claim,
    progress: Progress,
    lease: Lease,
    done: asyncio.Event,
    every_s: float,
) -> None:
    while not await happens(done, every_s):
        try:
            lease.state = await queue.renew(claim, progress.part)
        except Exception as error:  # the making goes on: the lease may outlast the trouble
            log.warning("cannot renew the lease of %s: %s", claim.job.id, error)
            continue
        if lease.state is not LeaseState.HELD:
            progress.stop()
            return
