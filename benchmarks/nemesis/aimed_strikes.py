"""Faults that wait for a worker with a job, and end by what becomes of that job meanwhile.

Each parts a worker from a job until the job is another's, has ended, or is wanted no more, so that
its result comes when nobody may take it. A result that is held up was sent by the worker, and
stands in the proxy before Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from benchmarks.nemesis.aiming import POLL_S, Run, Runs, Standing
from benchmarks.nemesis.callers import Book
from benchmarks.nemesis.faults import Fault, Kind
from benchmarks.nemesis.observing import ENDS, Observer
from benchmarks.nemesis.proxy import UP
from benchmarks.nemesis.topology import Topology

AIMING_S = 12.0
"""How long a fault looks for its job, its turn included. One that finds none is left out."""
TOGETHER_S = 0.2
"""How long the second of two results is held up once the first may arrive."""
LOOKS_S = (0.2, 0.8, 3.0)
"""Pauses before a job that was met is looked at again."""


class AimedStrikes:
    """Brings aimed faults about, one at a time: each needs other workers that it leaves alone."""

    def __init__(self, service: Topology, observer: Observer, book: Book) -> None:
        self._service = service
        self._observer = observer
        self._book = book
        self._runs = Runs(service)
        self._turn = asyncio.Lock()
        self._held_up: set[int] = set()
        """Workers whose requests are held up."""
        self._stopped: set[int] = set()

    async def bring_about(
        self, fault: Fault, within_s: float, begun: Callable[[], None]
    ) -> tuple[str, bool] | None:
        """Return the job that was met, and whether all came as the kind says; None without a job
        within that time, or `AIMING_S`. `begun` is called once one is met."""
        clock = asyncio.get_running_loop()
        until = clock.time() + min(within_s, AIMING_S)
        async with self._turn:
            try:
                while clock.time() < until:
                    run = await self._part(fault.kind, until)
                    if run is not None:
                        begun()
                        return run.job, await self._meet(fault, run)
                    await asyncio.sleep(POLL_S)
                return None
            finally:
                self._join()

    async def look_again(self, job: str) -> None:
        """Ask for a job and its picture several times, as callers do who come late."""
        mark = self._book.jobs[job]
        for pause_s in LOOKS_S:
            await asyncio.sleep(pause_s)
            seen = await self._observer.job(job, mark, "again")
            if seen is not None and seen["status"] == "succeeded":
                await self._observer.picture(job, mark, "again")

    async def _part(self, kind: Kind, until: float) -> Run | None:
        """Part a worker from its job, and return that run once it is sure to have met it; None if
        there was none."""
        for run in await self._runs.now():
            if run.job not in self._book.jobs:  # its caller has no answer yet
                continue
            stop = kind is Kind.OVERTAKEN
            if await (self._stop(run) if stop else self._hold_result_up(run, until)):
                return run
            self._join()
        return None

    async def _stop(self, run: Run) -> bool:
        """Stop the worker of a run, and return whether the run went on until then."""
        self._stopped.add(run.worker)
        self._service.workers[run.worker].freeze()
        return await self._goes_on(run)

    async def _hold_result_up(self, run: Run, until: float) -> bool:
        """Wait for the result of a run, hold up all that its worker sends from there on, and return
        True; False if the run ends without one."""
        proxy = self._service.proxy_of_worker(run.worker)
        sent = self._service.keys.result(run.job, int(run.token)).encode()
        self._held_up.add(run.worker)
        proxy.hold_up_from(sent, UP)
        while await self._goes_on(run) and asyncio.get_running_loop().time() < until:
            if proxy.holds(sent):
                return await self._goes_on(run)
            await asyncio.sleep(POLL_S)
        return False

    async def _goes_on(self, run: Run) -> bool:
        standing = await self._runs.of(run.job)
        return standing is not None and standing.run == run

    def _hold_up(self, worker: int) -> None:
        self._held_up.add(worker)
        self._service.proxy_of_worker(worker).hold_up(UP)

    def _let_go(self, worker: int) -> None:
        self._held_up.discard(worker)
        self._service.proxy_of_worker(worker).let_go()

    def _join(self) -> None:
        for worker in tuple(self._held_up):
            self._let_go(worker)
        while self._stopped:
            self._service.workers[self._stopped.pop()].thaw()

    async def _meet(self, fault: Fault, run: Run) -> bool:
        """Wait for what ends the fault; return whether it came as its kind says."""
        if fault.kind is Kind.UNWANTED_RESULT:
            return await self._withdrawn(run)
        if fault.kind is Kind.LATE_RESULT:
            ended = await self._runs.wait_for(run.job, _has_ended, fault.seconds)
            return ended is not None and ended.token != run.token
        taken = await self._runs.wait_for(
            run.job, lambda seen: seen.token != run.token or _has_ended(seen), fault.seconds
        )
        if taken is None or taken.run is None:
            return False
        if fault.kind is Kind.TWO_RESULTS:
            await self._let_both_arrive(run, taken.run)
        return True

    async def _let_both_arrive(self, first: Run, second: Run) -> None:
        """Let the result of the first run arrive while the second has not delivered."""
        self._hold_up(second.worker)
        self._let_go(first.worker)
        await asyncio.sleep(TOGETHER_S)

    async def _withdrawn(self, run: Run) -> bool:
        job = await self._observer.job(run.job, self._book.jobs[run.job], "cancel", "DELETE")
        return job is not None and job["status"] == "cancelled"


def _has_ended(standing: Standing) -> bool:
    return standing.status in ENDS
