"""Renewal of a job's lease until it is delivered, and the end of the run once it is not held."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from jobs.job import Claim, LeaseState
from jobs.queue import Leases
from workers.background import wait_for_event
from workers.pipeline import Progress

log = logging.getLogger("anysr.workers.lease")


class Lease:
    """The lease of a claim, and its last known state."""

    def __init__(self, leases: Leases, claim: Claim, progress: Progress) -> None:
        self._leases = leases
        self._claim = claim
        self._progress = progress
        self.state = LeaseState.HELD

    async def renew(self) -> bool:
        """Renew the lease and return whether it is held; stop the run if it is not. While the queue
        is away the run continues, because the lease may outlast the outage."""
        try:
            self.state = await self._leases.renew(self._claim, self._progress.part)
        except Exception as error:
            log.warning("cannot renew the lease of %s: %s", self._claim.job.id, error)
        if self.state is not LeaseState.HELD:
            self._progress.stop()
        return self.state is LeaseState.HELD

    async def report_stopped(self) -> None:
        """Tell the queue that this worker is free, if it has counted as busy with a run whose lease
        is not held. During an outage that has no effect: it then counts as free soon."""
        if self.state is LeaseState.HELD:
            return
        try:
            await self._leases.report_stopped(self._claim)
        except Exception as error:
            log.warning(
                "cannot report that the run of %s has stopped: %s", self._claim.job.id, error
            )


@contextlib.asynccontextmanager
async def held(
    leases: Leases, claim: Claim, progress: Progress, every_s: float
) -> AsyncIterator[Lease]:
    """Renew a claim's lease every `every_s` seconds, at once if the job was handed over, and stop
    the run once it is not held.

    To be left only when the run has ended and was delivered: until then the queue counts this
    worker as busy, and gives the job to no other one.
    """
    lease, done = Lease(leases, claim, progress), asyncio.Event()
    task: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal task
        task = asyncio.create_task(_renew(lease, done, every_s))

    # A task that begins at once would hold up the run, and most runs end before the first renewal.
    first_s = 0.0 if claim.handed_over else every_s
    timer = asyncio.get_running_loop().call_later(first_s, begin)
    try:
        yield lease
    finally:
        progress.stop()
        timer.cancel()
        # Ended by an event: cancelling a call to Redis would close its connection.
        done.set()
        if task is not None:
            await task
        await lease.report_stopped()


async def _renew(lease: Lease, done: asyncio.Event, every_s: float) -> None:
    while not done.is_set():
        await lease.renew()
        await wait_for_event(done, every_s)
