"""Amid a picture: more urgent jobs first, then the rest of the picture, narrower if it is late.

A worker sets its picture aside only for a job that would otherwise start too late, and only for as
long as the picture can spare: both are then in time. Between two tiles that costs nothing. Once for
a picture a tile is interrupted as well, and made anew afterwards: a burst may come just after both
workers have begun something long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from jobs.job import Claim, Reason, RunFacts
from jobs.queue import JobQueue
from models.catalog import ModelEntry
from models.expectation import Expectation
from scheduling.options import Option, options_left
from scheduling.policy import go_on, spare_ms
from workers.background import wait_for_event
from workers.binding import Binding, SuspendedRun
from workers.job_binding import JobBinding
from workers.lease import Lease
from workers.model_slot import LoadedModels
from workers.pipeline import Between, Progress
from workers.runtimes.base import Interruptible
from workers.upscale import Engine

log = logging.getLogger("anysr.workers.preemption")

LOOK_S = 0.04
"""Between two looks for more urgent jobs while a tile is made."""
WORTH_MS = 100.0
"""What is expected to end sooner than this is not interrupted."""

Serve = Callable[[Claim, SuspendedRun], Awaitable[None]]
"""Runs another job while this one is set aside."""


@dataclass(frozen=True)
class RunContext:
    """What the runs of one worker share."""

    queue: JobQueue
    worker_id: str
    loaded: LoadedModels
    """What the job in hand was bound to; whatever runs beside it is bound to the same."""
    serve: Serve
    stopping: asyncio.Event
    """Once it is set, nothing is set aside any more."""


class PreemptibleRun:
    """How one run goes on from tile to tile."""

    def __init__(
        self, context: RunContext, claim: Claim, binding: Binding, entry: ModelEntry, since: float
    ) -> None:
        self._context = context
        self._claim = claim
        self._binding = binding
        self._entry = entry
        self._since = since
        self._end_ms = claim.claimed_ms + binding.decision.option.expected_ms
        self._ways = [(0.0, binding.decision.option)]
        """(part from which on, how)."""
        self._expectation: Expectation | None = None
        self.lease: Lease | None = None
        """Of the job in hand, once it is being made."""
        self.yields = 0
        """How many jobs were run in between."""
        self._interrupted = False
        self._urgent: Claim | None = None
        """What a tile was interrupted for, until it is run."""
        self._turn = asyncio.Lock()
        """Held by what looks for more urgent jobs: after a tile, or while one is made."""

    @property
    def straight(self) -> bool:
        """Whether it was made in one go, as it was begun."""
        return not (self.narrowed or self._interrupted)

    @property
    def narrowed(self) -> bool:
        """Whether it goes on narrower than it began."""
        return len(self._ways) > 1

    def seen(self, bound: JobBinding) -> None:
        """Take in what the decoded picture has changed, before its first tile is made."""
        option = bound.binding.decision.option
        self._end_ms += option.expected_ms - self._ways[0][1].expected_ms
        self._binding, self._expectation = bound.binding, bound.expectation
        self._entry = self._context.loaded.zoo[option.rung.model].as_run
        self._ways = [(0.0, option)]

    def from_thread(self) -> Between:
        """Return `between` for the making thread, which waits for it."""
        loop = asyncio.get_running_loop()

        def wait(part: float) -> Engine | None:
            return asyncio.run_coroutine_threadsafe(self.between(part), loop).result()

        return wait

    async def between(self, part: float) -> Engine | None:
        """Run what is more urgent, and answer what to go on with, None for the same as before.

        `part` of the network's work, from 0 to 1, is done.
        """
        async with self._turn:
            try:
                await self._urgent_first(part)
            except ConnectionError as error:
                log.warning("cannot look for more urgent jobs: %s", error)
            return self._go_on(part)

    @contextlib.asynccontextmanager
    async def watched(self, progress: Progress) -> AsyncIterator[None]:
        """Interrupt a tile that is made meanwhile, if a job comes that cannot wait for its end."""
        if self._end_ms - self._now_ms() < WORTH_MS:
            yield
            return
        made = asyncio.Event()
        watching = asyncio.create_task(self._watch(progress, made))
        try:
            yield
        finally:
            # Ended by an event, not cancelled: a claim might be on its way.
            made.set()
            await watching

    def left_over(self) -> Claim | None:
        """Return the job that a tile was interrupted for which then was the last, if any: it has
        not been run."""
        claim, self._urgent = self._urgent, None
        return claim

    async def _watch(self, progress: Progress, made: asyncio.Event) -> None:
        while not self._interrupted and not await wait_for_event(made, LOOK_S):
            async with self._turn:
                try:
                    await self._look(progress)
                except ConnectionError as error:
                    log.warning("cannot look for more urgent jobs: %s", error)

    async def _look(self, progress: Progress) -> None:
        context, engine = self._context, self._binding.engine
        if context.stopping.is_set() or engine is None:
            return
        network, ends_in_ms = engine.network, self._end_ms - self._now_ms()
        if ends_in_ms < WORTH_MS or not isinstance(network, Interruptible):
            return
        spare = spare_ms(self._left(progress.part), self._slack_ms())
        if spare <= 0:
            return
        self._urgent = await context.queue.claim_urgent(
            context.worker_id, ends_in_ms, spare, context.loaded.capabilities
        )
        if self._urgent is not None:
            self._interrupted = True
            network.interrupt()

    async def _urgent_first(self, part: float) -> None:
        context, urgent = self._context, self.left_over()
        while urgent is not None or not context.stopping.is_set():
            left, slack_ms = self._left(part), self._slack_ms()
            spare = spare_ms(left, slack_ms)
            if urgent is None and spare > 0 and await self._wanted():
                urgent = await context.queue.claim_urgent(
                    context.worker_id, left[-1].expected_ms, spare, context.loaded.capabilities
                )
            if urgent is None:
                return
            self.yields += 1
            narrowest = left[0]
            aside = SuspendedRun(self._end_ms, spare, narrowest.safe_ms, narrowest.expected_ms)
            await context.serve(urgent, aside)
            await self._tell_end(self._left(part)[-1].expected_ms, urgent)
            urgent = None

    async def _wanted(self) -> bool:
        """Whether anybody still waits for the job in hand: one that was cancelled would be set
        aside for nothing, and hold back what runs beside it."""
        return self.lease is None or await self.lease.renew()

    async def _tell_end(self, rest_ms: float, latest: Claim) -> None:
        """Let others know when this run will end, now that it goes on."""
        await self._context.queue.report_expected_end(self._claim, rest_ms)
        self._end_ms = self._now_ms() + rest_ms
        log.info("job %s: set aside for %s", self._claim.job.id, latest.job.id)

    def _go_on(self, part: float) -> Engine | None:
        way = go_on(self._left(part), self._slack_ms())
        if way.rung == self._ways[-1][1].rung or self._binding.engine is None:
            return None
        self._ways.append((part, way))
        engine = self._context.loaded.zoo[way.rung.model].at(way.rung.width)
        self._binding = replace(self._binding, engine=engine)
        return engine

    def _left(self, part: float) -> tuple[Option, ...]:
        width = self._ways[-1][1].rung.width
        costs = self._binding.costs
        job = self._claim.job
        return options_left(job, self._entry, width, costs, 1 - part, self._expectation)

    def _slack_ms(self) -> float:
        return self._claim.run_slack_ms - self._gone_ms()

    def _gone_ms(self) -> float:
        """Return for how long the job has been in hand."""
        return (time.perf_counter() - self._since) * 1e3

    def _now_ms(self) -> float:
        """Return the time by the queue's clock."""
        return self._claim.claimed_ms + self._gone_ms()

    def told(self, facts: RunFacts, away_ms: float) -> RunFacts:
        """Return the facts of the run with what became of it between its tiles."""
        if self.yields:
            facts = replace(facts, stages_ms={**facts.stages_ms, "yielded": away_ms})
        if not self.narrowed:
            return facts
        width = self._ways[-1][1].rung.width
        db = self._db()
        between = None if self._expectation is None else self._expectation.range(db)
        return replace(
            facts, width=width, reason=Reason.BEHIND, expected_db=db, expected_db_range=between
        )

    def _db(self) -> float | None:
        """Return the mean expected dB over the parts made in each way."""
        ends = [part for part, _ in self._ways[1:]] + [1.0]
        total = 0.0
        for (start, way), end in zip(self._ways, ends, strict=True):
            if way.db is None:
                return None
            total += (end - start) * way.db
        return round(total, 3)
