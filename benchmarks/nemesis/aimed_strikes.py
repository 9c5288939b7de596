"""Faults that wait for a worker with a job, and end by what becomes of that job meanwhile.

Each parts a worker from a job until the job is another's, has ended, or is wanted no more, so that
its result comes when nobody may take it. A result that is held up was sent by the worker, and
stands in the proxy before Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
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

    async def bring_about(self, fault: Fault, begun: Callable[[], None]) -> tuple[str, bool] | None:
        """Return the job that was met, and whether all came as the kind says; None without a job.
        `begun` is called once one is met."""
        clock = asyncio.get_running_loop()
        until = clock.time() + AIMING_S
        async with self._turn:
            try:
                run = await self._part_within(fault.kind, until - clock.time())
                if run is None:
                    return None
                begun()
                return run.job, await self._meet_within(fault, run)
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

    async def _part_within(self, kind: Kind, seconds: float) -> Run | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._part(kind)
        return None

    async def _part(self, kind: Kind) -> Run:
        """Part a worker from its job, and return that run once it is sure to have met it."""
        part = self._stop if kind is Kind.OVERTAKEN else self._hold_result_up
        while True:
            for run in await self._runs.now():
                if run.job in self._book.jobs:  # else its caller has no answer yet
                    if await part(run):
                        return run
                    self._join()
            await asyncio.sleep(POLL_S)

    async def _stop(self, run: Run) -> bool:
        """Stop the worker of a run, and return whether the run went on until then."""
        self._stopped.add(run.worker)
        self._service.workers[run.worker].freeze()
        return await self._goes_on(run)

    async def _hold_result_up(self, run: Run) -> bool:
        """Wait for the result of a run, hold up all that its worker sends from there on, and return
        True; False if the run ends without one."""
        proxy = self._service.proxy_of_worker(run.worker)
        sent = self._service.keys.result(run.job, int(run.token)).encode()
        self._held_up.add(run.worker)
        proxy.hold_up_from(sent, UP)
        while not proxy.holds(sent):
            if not await self._goes_on(run):
                return False
            await asyncio.sleep(POLL_S)
        return await self._goes_on(run)

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

    async def _meet_within(self, fault: Fault, run: Run) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(fault.seconds):
                return await self._meet(fault.kind, run)
        return False

    async def _meet(self, kind: Kind, run: Run) -> bool:
        """Wait for what ends the fault; return whether it came as the kind says."""
        match kind:
            case Kind.OVERTAKEN:
                return (await self._overtaken(run)).run is not None
            case Kind.UNWANTED_RESULT:
                return await self._withdrawn(run)
            case Kind.LATE_RESULT:
                ended = await self._runs.wait_for(run.job, lambda seen: seen.status in ENDS)
                return ended.token != run.token
            case _:
                return await self._let_both_arrive(run, (await self._overtaken(run)).run)

    async def _overtaken(self, run: Run) -> Standing:
        """Return how it stands with a job that is no longer this run's."""
        return await self._runs.wait_for(
            run.job, lambda seen: seen.token != run.token or seen.status in ENDS
        )

    async def _let_both_arrive(self, first: Run, second: Run | None) -> bool:
        """Let the result of the first run arrive while the second has not delivered."""
        if second is None:
            return False
        self._hold_up(second.worker)
        self._let_go(first.worker)
        await asyncio.sleep(TOGETHER_S)
        return True

    async def _withdrawn(self, run: Run) -> bool:
        job = await self._observer.job(run.job, self._book.jobs[run.job], "cancel", "DELETE")
        return job is not None and job["status"] == "cancelled"
