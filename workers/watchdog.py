"""The watchdog: ends this process when the thread that runs a job does not come back.

Native code can hang, and a thread cannot be ended from outside. Its process can: whatever started
it starts the next, and the lease of its job runs out, which counts as an attempt of the job. A
stopped run that does not return hangs, and so does one that takes many times as long as predicted.

A run is only timed while it works: not while it waits for the event loop (suspended for more urgent
jobs, or during an outage of the queue), and not while this process was suspended as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator

from scheduling.stages import stage_of
from workers.binding import Binding
from workers.pipeline import Stopped
from workers.preemption import PreemptibleRun

log = logging.getLogger("anysr.workers.watchdog")

STUCK_EXIT_CODE = 70
"""Exit status of a worker that ends itself: EX_SOFTWARE of sysexits.h."""

POLL_S = 0.5
"""Interval between two looks at the runs."""
COUNT_WITHIN_S = 2.0
"""How long the end is put off to count it in the queue, which may be away."""

OVERDUE_S = 60.0
OVERDUE_FACTOR = 20.0
"""A run hangs that works for longer than OVERDUE_S, and than OVERDUE_FACTOR times as long as was
predicted. Beside other programs, runs take some four times as long."""

SLOW_FACTOR = 3.0
"""How many times its predicted time a stage may take that cannot be interrupted."""


class WatchedRun:
    """One run on an executing thread, which calls `bind`; the rest is for the event loop."""

    def __init__(self, job_id: str, run: PreemptibleRun, stuck_s: float) -> None:
        self.job_id = job_id
        self._run = run
        self._stuck_s = stuck_s
        self._overdue_s = OVERDUE_S
        self._rest_s = 0.0
        """Time for decoding and encoding, which a stopped run ends first."""
        self._working_s = 0.0
        self._stopped_s = 0.0

    def bind(self, bound: Binding) -> None:
        """Allow the run as much time as its binding predicts, with a wide margin."""
        expected_ms, choice = bound.option.expected_ms, bound.choice
        remaining_ms = expected_ms
        if bound.engine is not None:
            remaining_ms -= choice.costs.predict_stage(stage_of(bound.option.rung), choice.work)
        self._overdue_s = max(OVERDUE_S, OVERDUE_FACTOR * expected_ms / 1e3)
        self._rest_s = SLOW_FACTOR * max(0.0, remaining_ms) / 1e3

    def advance(self, seconds: float) -> None:
        """Count time in which the run has worked, unless it waits for the event loop."""
        if self._run.waits:
            return
        self._working_s += seconds
        self._stopped_s += seconds if self._is_stopped() else 0.0

    def fault(self) -> str | None:
        """Return how this run shows that its thread hangs; None if it does not."""
        if self._stopped_s > self._stuck_s + self._rest_s:
            return f"was stopped {self._stopped_s:.0f} s ago, and has not returned"
        if self._working_s > self._overdue_s:
            return f"has taken {self._working_s:.0f} s, of at most {self._overdue_s:.0f} s"
        return None

    def _is_stopped(self) -> bool:
        try:
            self._run.progress.check()
        except Stopped:
            return True
        return False


class Watchdog:
    """Watches the runs of one worker. `count` counts a hanging worker in the queue; `end` ends this
    process with an exit status, at once."""

    def __init__(
        self,
        stuck_s: float,
        count: Callable[[], Awaitable[None]],
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._stuck_s = stuck_s
        self._count = count
        self._end = end
        self._runs: list[WatchedRun] = []

    @contextlib.contextmanager
    def watching(self, job_id: str, run: PreemptibleRun) -> Iterator[WatchedRun]:
        """Watch a run from its submission to a thread until that has come back."""
        watched = WatchedRun(job_id, run, self._stuck_s)
        self._runs.append(watched)
        try:
            yield watched
        finally:
            self._runs.remove(watched)

    async def run(self) -> None:
        """Watch until cancelled; end the process when a run hangs."""
        last = time.monotonic()
        while (fault := self._fault()) is None:
            await asyncio.sleep(POLL_S)
            last, since = time.monotonic(), last
            # A much longer time has not passed for the runs: the process was suspended.
            seconds = min(last - since, 2 * POLL_S)
            for watched in self._runs:
                watched.advance(seconds)
        log.critical("this worker hangs, and ends itself to be replaced: %s", fault)
        await self._counted()
        self._end(STUCK_EXIT_CODE)

    def _fault(self) -> str | None:
        faults = ((watched.job_id, watched.fault()) for watched in self._runs)
        return next((f"the run of job {job} {fault}" for job, fault in faults if fault), None)

    async def _counted(self) -> None:
        try:
            async with asyncio.timeout(COUNT_WITHIN_S):
                await self._count()
        except Exception as error:  # it ends in any case
            log.warning("cannot count the hanging worker: %s", error)
