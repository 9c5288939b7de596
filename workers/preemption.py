"""Preemption of a run by more urgent jobs, and a cheaper network for a run that falls behind.

A run gives way to a job that would otherwise start too late, or that is small and short in
comparison, and only for as long as the run itself can spare: both then meet their deadlines.
Between two tiles, or two strips of resampling, it is suspended, which costs nothing. While it is
decoded or encoded, it goes on, and a small job runs beside it. Once per run a tile is interrupted
as well, for an urgent job, and run again afterwards, because a burst may arrive just after every
worker has started a long tile. A run that has preempted another gives way to small jobs alone.

A run that takes longer than predicted continues at a narrower width from its next tile on. If even
this tile threatens to end too late, it is interrupted just before the last moment at which the
cheapest network can still finish the picture in time, and that one at the last moment at which the
picture can still be resampled. A network that most likely ends in time is left alone: of runs that
take longer than expected, most end within their safe cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from jobs.job import Claim, Reason, RunFacts
from jobs.queue import Gap, Leases
from models.catalog import ModelEntry
from scheduling.options import Option, Options, cheapest_remaining, resampling_left
from scheduling.policy import go_on, short_ms, spare_ms
from scheduling.rungs import FLOOR
from scheduling.tiling import Tiling
from scheduling.work import work_of
from workers.background import wait_for_event
from workers.binding import Binding
from workers.current_models import LoadedModels
from workers.execution import Execution
from workers.lease import Lease
from workers.memory import most_held_bytes
from workers.pipeline import Progress
from workers.remaining import LastBinding, remaining
from workers.runtimes.base import Interruptible
from workers.stage_gate import Stage, StageGate
from workers.suspended_run import SuspendedRun
from workers.upscale import Engine, OutOfTime

log = logging.getLogger("anysr.workers.preemption")

T = TypeVar("T")

POLL_S = 0.04
"""Interval at which more urgent jobs are polled for while a tile runs."""
INTERRUPT_MS, INTERRUPT_PART = 5.0, 1 / 16
"""Time that interrupting a late run takes: a constant, and a part of the run. A network is
interrupted between its operations, of which each takes about a thirtieth of it, or twice that on a
busy machine."""
MIN_REMAINING_MS = 100.0
"""A run that is expected to end sooner than this is not interrupted."""

MIN_PREPARED_MS = 500.0
"""For a run that is expected to take longer than this, the second decoder is started."""

Preempt = Callable[[Claim, SuspendedRun], Awaitable[None]]
"""Runs a more urgent job while the current run is suspended or goes on beside it."""


class ConcurrentJobs(Protocol):
    """What running a job beside another takes."""

    def prepare(self) -> None:
        """Start what takes time to start. May block."""

    def bytes_left(self) -> int:
        """Return the memory that a job may take now; 0 where none may run."""


@dataclass(frozen=True)
class RunContext:
    """One claimed job, and what its run works with."""

    claim: Claim
    leases: Leases
    worker_id: str
    loaded: LoadedModels
    """The models that the job is bound to, and every job that preempts it."""
    stopping: asyncio.Event
    """Once it is set, nothing is preempted any more."""
    preempt: Preempt
    beside: ConcurrentJobs
    suspended: SuspendedRun | None = None
    """The run that this one preempts."""
    started: float = field(default_factory=time.perf_counter)

    @property
    def elapsed_ms(self) -> float:
        """Time since the claim."""
        return (time.perf_counter() - self.started) * 1e3

    @property
    def gives_way(self) -> bool:
        """Whether this run gives way to others: one that goes on beside another is small and short,
        and so is the third run of a worker."""
        return self.suspended is None or (self.suspended.depth == 1 and not self.suspended.goes_on)

    @property
    def small_only(self) -> bool:
        """Whether this run gives way to small jobs alone."""
        return self.suspended is not None

    @property
    def now_ms(self) -> float:
        """The time of the queue's clock."""
        return self.claim.claimed_ms + self.elapsed_ms

    @property
    def slack_ms(self) -> float:
        """Time left until the run must end."""
        return self.claim.run_slack_ms - self.elapsed_ms


@dataclass(frozen=True)
class Overrun:
    """Times of a run until its first tile was interrupted, because it would have ended too late."""

    run_ms: float
    network_ms: float


def _fits_tiles_of(planned: ModelEntry, entry: ModelEntry) -> bool:
    """Return whether a network sees enough around each tile that was cut for another one."""
    if planned.halo is None or entry.halo is None:
        return False
    return entry.halo <= planned.halo


class PreemptibleRun:
    """Controls one run from tile to tile.

    Created on the event loop; `bind` and `progress.report` are called on the executing thread.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._enabled = context.gives_way
        self._bound: LastBinding | None = None
        """None before the job is bound."""
        self._gate = StageGate()
        self._engine: Engine | None = None
        self._expected_end_ms = 0.0
        """On the queue's clock."""
        self._safe_end_ms = 0.0
        """When forty-nine of fifty such runs have ended."""
        self._options_by_part: list[tuple[float, Option]] = []
        """(part of the work from which on, option that it runs by)."""
        self._lease: Lease | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._preemptions = 0
        self._network_since = self._context.started
        """When the network began, by `time.perf_counter`."""
        self._fallback: Option | None = None
        """The cheapest network, or resampling, if a tile was interrupted because it would end too
        late."""
        self.overrun: Overrun | None = None
        """The times of the run up to that interruption, from which the cost model learns."""
        self._interrupted = False
        self._urgent: Claim | None = None
        """The job that a tile was interrupted for, until it is run."""
        self._claiming = asyncio.Lock()
        """Held while more urgent jobs are claimed, between tiles or during one."""
        self._asks = False
        """Whether the executing thread waits for the event loop."""
        self.ran_concurrently = False
        """Whether another job ran beside this one, so that its times say nothing of its costs."""
        hooks = (self._from_thread, self._enter) if self._enabled else (None, None)
        self.progress = Progress(*hooks)

    @property
    def waits(self) -> bool:
        """Whether the executing thread waits for another run, or for the event loop."""
        return self._asks or self._gate.waits

    @property
    def uniform(self) -> bool:
        """Whether the whole picture was made at one width, without an interruption."""
        return len(self._options_by_part) <= 1 and not self._interrupted

    def bind(self, bound: Binding) -> None:
        """Follow a binding: at the claim, and by the picture just before its first tile."""
        if not self._enabled:
            return
        option, models = bound.option, self._context.loaded.models
        claimed_ms = self._context.claim.claimed_ms
        self._expected_end_ms = claimed_ms + option.expected_ms
        self._safe_end_ms = claimed_ms + option.safe_ms
        self._options_by_part = [(0.0, option)]
        self._network_since = time.perf_counter()
        self._engine = bound.engine
        entry = None if bound.engine is None else models[option.rung.model].as_run
        self._bound = LastBinding(bound.choice.costs, bound.choice.work, entry, bound.expectation)
        # Checked here, because waking the event loop for short runs would slow them.
        if bound.expectation is not None and self._interruptible() is not None:
            self._loop.call_soon_threadsafe(self._start_watching)

    @contextlib.asynccontextmanager
    async def watched(self, lease: Lease) -> AsyncIterator[None]:
        """Meanwhile run jobs beside this one, and interrupt a tile, for jobs that cannot wait."""
        self._lease = lease
        begin = self._loop.call_later(POLL_S, self._start_watching)
        try:
            yield
        finally:
            begin.cancel()
            # Ended by an event, not cancelled: a claim might be on its way.
            self._ended.set()

    @property
    def has_claimed(self) -> bool:
        """Whether a job that was claimed during this run has not ended, or is being claimed."""
        return self._urgent is not None or self._claiming.locked()

    async def last_claim(self) -> Claim | None:
        """Wait until no job runs beside this one, which has ended and been delivered; return a job
        that was claimed and not run."""
        if self._watching is not None:
            (fault,) = await asyncio.gather(self._watching, return_exceptions=True)
            if fault is not None:  # no fault of this job, nor of one that it has preempted
                log.error("cannot watch for more urgent jobs", exc_info=fault)
        return self.take_urgent()

    def take_urgent(self) -> Claim | None:
        """Return the job that a tile was interrupted for, if it has not been run."""
        claim, self._urgent = self._urgent, None
        return claim

    def facts(self, execution: Execution) -> RunFacts:
        """Return the facts of the finished run."""
        facts = execution.facts(self._context.claim, self._context.elapsed_ms)
        if self._preemptions or self.ran_concurrently:
            suspended_ms = execution.result.suspended_ms
            facts = replace(facts, stages_ms={**facts.stages_ms, "yielded": suspended_ms})
        if len(self._options_by_part) <= 1:
            return facts
        db = self._mean_db()
        rung = self._options_by_part[-1][1].rung
        return replace(
            facts,
            model=rung.model,
            width=rung.width,
            reason=Reason.BEHIND,
            strength=0.0 if rung == FLOOR else facts.strength,
            expected_db=db,
            expected_db_range=execution.bound.expected_range(db),
        )

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine that is run on the event loop. Called on the executing
        thread, which waits for it."""
        self._asks = True
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        finally:
            self._asks = False

    def _enter(self, stage: Stage) -> None:
        self._gate.enter(stage)
        if stage is Stage.ENLARGE:
            self._network_since = time.perf_counter()

    def _from_thread(self, part: float) -> Engine | None:
        """Run `between_tiles` on the event loop; the executing thread waits for it."""
        return self.on_loop(self._between_tiles(part))

    async def _between_tiles(self, part: float) -> Engine | None:
        """Run more urgent jobs; return the engine to continue with, None for the same one.

        `part` is the completed part of the network's work, from 0 to 1.
        """
        async with self._claiming:
            try:
                await self._run_urgent(part)
            except ConnectionError as error:
                log.warning("cannot poll for more urgent jobs: %s", error)
            return self._narrow_if_behind(part)

    def _start_watching(self) -> None:
        if self._enabled and self._watching is None and not self._ended.is_set():
            self._watching = asyncio.create_task(self._watch())

    def _interruptible(self) -> Interruptible | None:
        """Return the network to interrupt, None where that is impossible or not worth it."""
        network = self._engine.network if self._engine is not None else None
        long_enough = self._expected_end_ms - self._context.now_ms >= MIN_REMAINING_MS
        return network if long_enough and isinstance(network, Interruptible) else None

    async def _watch(self) -> None:
        prepared = False
        while not await wait_for_event(self._ended, self._next_look_s()):
            if not prepared and self._run_ms() > MIN_PREPARED_MS:
                prepared = True
                await asyncio.to_thread(self._context.beside.prepare)
            async with self._claiming:
                try:
                    await self._look()
                except ConnectionError as error:
                    log.warning("cannot poll for more urgent jobs: %s", error)

    async def _look(self) -> None:
        """See to jobs that wait, and to a tile that is late."""
        if self._ended.is_set():  # while the decoder was prepared: the next job is claimed by now
            return
        if self._gate.stage is not Stage.ENLARGE:
            # An urgent job, whose tile ended before it was interrupted, is to wait for no other.
            while self._urgent is None and await self._run_concurrently():
                pass
        elif not self._falling_back:
            self._fall_back_if_late()
            if not self._interrupted:
                await self._interrupt_for_urgent()

    @property
    def _falling_back(self) -> bool:
        """Whether the interrupted tile has not ended yet."""
        return self._fallback is not None and self._options_by_part[-1][1] is not self._fallback

    def _next_look_s(self) -> float:
        network = None if self._engine is None else self._engine.network
        interruptible = isinstance(network, Interruptible) and not self._falling_back
        if not interruptible or self._gate.stage is not Stage.ENLARGE:
            return POLL_S
        cheapest, context = self._cheaper_way(), self._context
        if cheapest is None:
            return POLL_S
        last_moment_in_ms = context.slack_ms - self._fallback_ms(cheapest)
        return min(POLL_S, max(self._overdue_in_ms(cheapest), last_moment_in_ms, 0.0) / 1e3)

    def _overdue_in_ms(self, cheapest: Option) -> float:
        """Return in how many ms this run is one to rescue by a cheaper way: by a network once it
        takes longer than is safe, if another rescue is left then or that one is still in time; else
        once it takes longer than expected. Return 0 for one that is expected too late."""
        now_ms, slack_ms = self._context.now_ms, self._context.slack_ms
        ends_in_ms, safe_in_ms = self._expected_end_ms - now_ms, self._safe_end_ms - now_ms
        if ends_in_ms > slack_ms:
            return 0.0
        if cheapest.rung == FLOOR:
            return max(0.0, ends_in_ms)
        rescue_ms = 0.0 if self._resampling() is not None else self._fallback_ms(cheapest)
        patient = safe_in_ms + rescue_ms <= slack_ms
        return max(0.0, safe_in_ms if patient else ends_in_ms)

    def _fall_back_if_late(self) -> None:
        """Interrupt an overdue tile at the last moment at which a cheaper way is in time."""
        context, cheapest = self._context, self._cheaper_way()
        network = self._engine.network if self._engine is not None else None
        if (
            cheapest is None
            or self._overdue_in_ms(cheapest) > 0
            or context.slack_ms > self._fallback_ms(cheapest)
            or not isinstance(network, Interruptible)
        ):
            return
        self._fallback = cheapest
        if self.progress.part == 0 and len(self._options_by_part) == 1 and not self._interrupted:
            network_ms = (time.perf_counter() - self._network_since) * 1e3
            self.overrun = Overrun(context.elapsed_ms, network_ms)
        self._interrupted = True
        network.interrupt()

    def _fallback_ms(self, cheapest: Option) -> float:
        """Return the time for the rest of the picture from the interruption on, with a margin."""
        return cheapest.safe_ms + self._interrupt_ms

    @property
    def _interrupt_ms(self) -> float:
        """The time until an interrupted network ends."""
        current = self._remaining(self.progress.part)[-1]
        return INTERRUPT_MS + INTERRUPT_PART * current.expected_ms

    def _cheaper_way(self) -> Option | None:
        """Return the cheapest network for the rest of the picture while that is expected in time,
        then resampling; None where neither is left, or the caller does not accept it."""
        context, bound = self._context, self._bound
        if bound is None or bound.entry is None:
            return None
        cheapest = None if self._fallback is not None else self._cheapest_remaining()
        if cheapest is None or context.slack_ms < self._interrupt_ms + cheapest.expected_ms:
            cheapest = self._resampling()
        in_time = cheapest is not None and context.slack_ms >= cheapest.expected_ms
        return cheapest if in_time else None

    def _resampling(self) -> Option | None:
        """Return plain resampling of the whole picture; None if the caller does not accept it."""
        job, bound = self._context.claim.job, self._bound
        return None if bound is None else resampling_left(job, bound.costs, bound.expectation)

    def _cheapest_remaining(self) -> Option | None:
        """Return the cheapest network for the rest of the picture, None if there is none cheaper
        than the current one, or if the picture's tiles are too small for it."""
        bound, job = self._bound, self._context.claim.job
        if bound is None or bound.entry is None:
            return None
        models = {
            name: served.as_run
            for name, served in self._context.loaded.models.items()
            if name == bound.entry.name or _fits_tiles_of(bound.entry, served.as_run)
        }
        left = 1 - self.progress.part
        option = cheapest_remaining(job, models, bound.costs, left, bound.expectation)
        current = self._remaining(self.progress.part)[-1]
        return option if option is None or option.expected_ms < current.expected_ms else None

    async def _interrupt_for_urgent(self) -> None:
        context, network = self._context, self._interruptible()
        if context.stopping.is_set() or network is None:
            return
        ends_in_ms = self._expected_end_ms - context.now_ms
        spare = self._spare_ms(self._remaining(self.progress.part))
        gap = Gap(ends_in_ms, spare, small_only=context.small_only, run=context.claim.job.id)
        self._urgent = await self._claim(gap)
        if self._urgent is not None:
            self._interrupted = True
            network.interrupt()

    async def _run_concurrently(self) -> bool:
        """Run a small job while this one is decoded or encoded; return whether there was one."""
        context, gap = self._context, self._concurrent_gap()
        if gap is None or context.stopping.is_set() or not self._gate.open():
            return False
        try:
            claim = await self._claim(gap)
            if claim is None:
                return False
            self.ran_concurrently = True
            await context.preempt(claim, self._suspended(gap.spare_ms, goes_on=True))
        finally:
            self._gate.close()
        if self._ended.is_set():
            return False
        await self._report_end(self._remaining(self.progress.part)[-1].expected_ms)
        return True

    def _concurrent_gap(self) -> Gap | None:
        """Return what a job beside this run may take; None beside one that is short itself. A run
        that is late in any case goes on, and holds back no short job."""
        if self._bound is None or (run_ms := self._run_ms()) < MIN_REMAINING_MS:
            return None
        left = self._remaining(self.progress.part)
        spare = self._spare_ms(left)
        if left[0].expected_ms > self._context.slack_ms:
            spare = short_ms(run_ms)
            if (before := self._context.suspended) is not None:
                spare = min(spare, max(0.0, before.spare_ms - run_ms))
        short, run = self._short_ms(spare), self._context.claim.job.id
        return Gap(left[-1].expected_ms, spare, short, small_only=True, run=run)

    def _short_ms(self, spare: float) -> float:
        """Return the cost of a narrowest network up to which a job goes first though it can wait:
        where this run can spare less, the job would be resampled for having gone first."""
        costs = self._context.loaded.costs.under(contention=True)
        return min(short_ms(self._run_ms()), costs.expected_within(spare))

    def _run_ms(self) -> float:
        """Return how long the run takes in all: what has passed, and what it still takes."""
        if self._bound is None:
            return 0.0
        return self._context.elapsed_ms + self._remaining(self.progress.part)[-1].expected_ms

    async def _claim(self, gap: Gap) -> Claim | None:
        """Claim a job to run during this one, if there is time and memory for one."""
        context = self._context
        capabilities = context.loaded.capabilities
        if gap.small_only:
            capabilities = context.loaded.beside_capabilities
            if not context.beside.bytes_left():
                return None
        if gap.spare_ms <= 0 or not capabilities:
            return None
        return await context.leases.claim_urgent(context.worker_id, gap, capabilities)

    def _spare_ms(self, left: Options) -> float:
        """Return for how long this run can be put off, and the one that it has preempted."""
        spare, before = spare_ms(left, self._context.slack_ms), self._context.suspended
        if before is None:
            return spare
        return min(spare, max(0.0, before.spare_ms - self._run_ms()))

    def _suspended(self, spare: float, goes_on: bool) -> SuspendedRun:
        """Return this run as one that gives way for as long as it can spare."""
        context, narrowest = self._context, self._remaining(self.progress.part)[0]
        held_bytes = most_held_bytes(context.claim.job)
        costs = narrowest.safe_ms, narrowest.expected_ms
        held = spare, *costs, held_bytes
        return SuspendedRun(self._expected_end_ms, *held, goes_on, context.suspended)

    async def _run_urgent(self, part: float) -> None:
        context, urgent = self._context, self.take_urgent()
        while urgent is not None or not context.stopping.is_set():
            left = self._remaining(part)
            spare = self._spare_ms(left)
            if urgent is None and spare > 0 and await self._still_leased():
                short = self._short_ms(spare)
                run = context.claim.job.id
                gap = Gap(left[-1].expected_ms, spare, short, context.small_only, run)
                urgent = await self._claim(gap)
            if urgent is None:
                return
            self._preemptions += 1
            await context.preempt(urgent, self._suspended(spare, goes_on=False))
            await self._report_end(self._remaining(part)[-1].expected_ms)
            log.info("job %s: was suspended for %s", context.claim.job.id, urgent.job.id)
            urgent = None

    async def _still_leased(self) -> bool:
        """Renew the lease. Suspending a cancelled run would hold back the jobs behind it."""
        return self._lease is None or await self._lease.renew()

    async def _report_end(self, remaining_ms: float) -> None:
        costs = self._context.loaded.costs if self._bound is None else self._bound.costs
        self._expect_end(remaining_ms, costs.safe(remaining_ms))
        await self._context.leases.report_expected_end(self._context.claim, remaining_ms)

    def _expect_end(self, expected_ms: float, safe_ms: float) -> None:
        """Note what the rest of this run takes from now on."""
        self._expected_end_ms = self._context.now_ms + expected_ms
        self._safe_end_ms = self._context.now_ms + safe_ms

    def _narrow_if_behind(self, part: float) -> Engine | None:
        """Return the engine by which the rest is in time, None for the same one. Raises OutOfTime
        where the picture is to be resampled."""
        option = self._fallback or self._way_on(part)
        if option.rung == self._options_by_part[-1][1].rung:
            return None
        if option.rung == FLOOR:
            self._resample(option)
            raise OutOfTime
        self._options_by_part.append((part, option))
        self._expect_end(option.expected_ms, option.safe_ms)
        served = self._context.loaded.models[option.rung.model]
        self._engine = served.at(option.rung.width)
        if self._bound is not None:
            self._bound = replace(self._bound, entry=served.as_run)
        return self._engine

    def _way_on(self, part: float) -> Option:
        """Return the option by which the rest of the picture is in time."""
        left, cheapest = self._remaining(part), self._cheaper_way()
        network = None if self._engine is None else self._engine.network
        rescued = cheapest is not None and isinstance(network, Interruptible)
        rescue_ms = self._fallback_ms(cheapest) if cheapest and rescued else math.inf
        option = go_on(left, self._context.slack_ms, rescue_ms)
        if option is None and cheapest is not None:
            self._fallback = cheapest
        return option or cheapest or left[0]

    def _resample(self, option: Option) -> None:
        """Go on with the whole picture resampled."""
        _, before = self._options_by_part[-1]
        self._options_by_part = [(0.0, before), (0.0, option)]  # nothing is left of the network's
        self._expect_end(option.expected_ms, option.safe_ms)
        self._engine = None
        if self._bound is not None:
            work = work_of(self._context.claim.job, Tiling())
            self._bound = replace(self._bound, entry=None, work=work)

    def _remaining(self, part: float) -> Options:
        """Return the options for the rest of the picture, narrowest first, none wider than now."""
        bound, job = self._bound, self._context.claim.job
        assert bound is not None, "a job is bound before it is decoded"
        return remaining(job, bound, self._options_by_part[-1][1], self._gate, part)

    def _mean_db(self) -> float | None:
        """Return the expected dB, averaged over the segments by their share of the work."""
        ends = [part for part, _ in self._options_by_part[1:]] + [1.0]
        total = 0.0
        for (start, option), end in zip(self._options_by_part, ends, strict=True):
            if option.db is None:
                return None
            total += (end - start) * option.db
        return round(total, 3)
