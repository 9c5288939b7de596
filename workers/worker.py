"""The loop: claim, bind, make, deliver.

The picture is made on a thread; meanwhile the event loop renews the lease. Whatever goes wrong
with one job ends that job alone. Whatever goes wrong with the queue is waited out: an undelivered
job's lease runs out, and it is run again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from images.limits import Limits
from images.picture import Picture
from jobs.errors import AnysrError, DeadlineExceeded, InternalError
from jobs.job import Claim, LeaseState, RunFacts
from jobs.queue import Leases
from scheduling.backlog import Load
from telemetry.logs import log_context
from telemetry.spans import Tracing
from telemetry.trace_context import trace_id_of
from workers.background import wait_for_event
from workers.binding import Binding, SuspendedRun
from workers.cost_updates import update_cost_model
from workers.heartbeat import Heartbeat
from workers.job_binding import JobBinding
from workers.lease import held
from workers.metrics import WorkerMetrics
from workers.model_slot import ModelSlot
from workers.pipeline import PipelineResult, Progress, Stopped, guard, make
from workers.preemption import PreemptibleRun, RunContext
from workers.run_record import RunRecord
from workers.upscale import Engine

log = logging.getLogger("anysr.workers")

OUTAGE_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between attempts to claim while the queue is away; the last one repeats."""
DELIVERY_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts to deliver; after the last one the lease has long run out."""

WORTH_TELLING_MS = 50.0
"""An end that is expected so much sooner or later is told: as exact as what waits is told."""


@dataclass(frozen=True)
class WorkerParts:
    """What a worker works with."""

    leases: Leases
    slot: ModelSlot
    heartbeat: Heartbeat
    metrics: WorkerMetrics
    tracing: Tracing
    limits: Limits
    renew_s: float
    """How often a lease is renewed."""
    wait_s: float = 1.0
    """How long one claim waits."""


class Worker:
    """Runs one job at a time until it is told to stop."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._leases = parts.leases
        self._loaded = parts.slot.loaded
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="make")
        # For what runs while the picture on the first is set aside: only one of them works.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="make-beside")
        self._ended: float | None = time.perf_counter()
        """When the last job ended; None while one is in hand."""
        self._next: Claim | None = None
        """A job that was claimed while another was in hand, which then ended before it was run."""

    def turn(self, call: Callable[[], float]) -> float:
        """Run a call between two jobs, and wait for its answer, on any thread but the loop's.
        Raises RuntimeError once the worker has ended."""
        return self._thread.submit(call).result()

    @property
    def idle_s(self) -> float:
        """For how long no job has been in hand."""
        ended = self._ended
        return time.perf_counter() - ended if ended is not None else 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Run jobs; once `stopping` is set, return when the one in hand has ended."""
        outages = 0
        while self._next is not None or not stopping.is_set():
            try:
                claim = await self._claim(stopping)
                outages = 0
                if claim is not None:
                    await self._serve(claim, stopping)
            except Exception as error:
                _log_outage(error)
                await wait_for_event(
                    stopping, OUTAGE_PAUSES_S[min(outages, len(OUTAGE_PAUSES_S) - 1)]
                )
                outages += 1
        self._thread.shutdown()
        self._beside.shutdown()

    async def _claim(self, stopping: asyncio.Event) -> Claim | None:
        claim, self._next = self._next, None
        if claim is not None:
            return claim
        worker_id, wait_s = self._parts.heartbeat.worker_id, self._parts.wait_s
        return await self._leases.claim(worker_id, wait_s, stopping, self._offers)

    def _offers(self) -> tuple[str, ...]:
        """Return what the next job may need, and hold what it is then run with."""
        self._loaded = self._parts.slot.loaded
        return self._loaded.capabilities

    async def _serve(self, claim: Claim, stopping: asyncio.Event) -> None:
        heartbeat = self._parts.heartbeat
        context = RunContext(
            self._leases, heartbeat.worker_id, self._loaded, self._serve_beside, stopping
        )
        heartbeat.busy(True)
        self._ended = None
        try:
            await self._answer(claim, self._thread, context=context)
        finally:
            self._ended = time.perf_counter()
            heartbeat.busy(False)

    async def _serve_beside(self, claim: Claim, aside: SuspendedRun) -> None:
        """Run a job while another is set aside; this one is not set aside in its turn."""
        self._parts.metrics.yielded()
        await self._answer(claim, self._beside, aside)

    async def _answer(
        self,
        claim: Claim,
        thread: ThreadPoolExecutor,
        aside: SuspendedRun | None = None,
        context: RunContext | None = None,
    ) -> None:
        parts, since = self._parts, time.perf_counter()
        with log_context(request_id=claim.job.id, trace_id=trace_id_of(claim.job.traceparent)):
            record = RunRecord(claim, parts.heartbeat.worker_id, parts.metrics, parts.tracing)
            run = _Run(claim, record, since, thread, aside, context)
            await self._end(run)

    async def _end(self, run: _Run) -> None:
        """Bring a run to its end, whatever that is, and record it."""
        claim, record = run.claim, run.record
        try:
            record.succeeded(await self._deliver(run))
        except _Dropped as drop:
            record.dropped(drop.state)
        except AnysrError as error:
            await self._fail(claim, record, error)
        except ConnectionError as error:
            record.undelivered(error)
        except Exception:
            log.exception("a bug")
            await self._fail(claim, record, InternalError())

    async def _deliver(self, run: _Run) -> RunFacts:
        """Bind, make and deliver a job, and return what was told of it."""
        claim, record, since = run.claim, run.record, run.since
        guard(claim.job, self._parts.limits)
        bound = self._bind(claim, run.aside)
        await self._tell_end(
            claim, bound.binding.decision.option.expected_ms, claim.job.cheapest_ms
        )
        record.bound(bound.binding)
        preemptible = self._preemptible(claim, bound.binding, since, run.context)
        try:
            made = await self._make(claim, bound, preemptible, run.thread)
        finally:
            if preemptible is not None:
                self._next = preemptible.left_over()
        record.made(made)
        facts = _facts(claim, bound, made, (time.perf_counter() - since) * 1e3)
        update_cost_model(bound.binding, made, facts.run_ms, preemptible)
        if preemptible is not None:
            facts = preemptible.told(facts, made.away_ms)
        _reject_late(claim, facts)
        if not await _insisting(lambda: self._leases.complete(claim, facts, made.picture)):
            raise _Dropped(LeaseState.LOST)
        return facts

    def _bind(self, claim: Claim, aside: SuspendedRun | None) -> JobBinding:
        backlog = claim.backlog if aside is None else aside.waiting_in(claim.backlog)
        # The queue lists the runs of others only: this worker is free for the job.
        load = Load.of(backlog, self._parts.heartbeat.live_workers, free=1)
        loaded = self._loaded
        return JobBinding(claim.job, loaded.zoo, loaded.costs, claim.run_slack_ms, load)

    def _preemptible(
        self, claim: Claim, binding: Binding, since: float, context: RunContext | None
    ) -> PreemptibleRun | None:
        if context is None or binding.engine is None:
            return None
        entry = self._loaded.zoo[binding.decision.option.rung.model].as_run
        return PreemptibleRun(context, claim, binding, entry, since)

    async def _make(
        self,
        claim: Claim,
        bound: JobBinding,
        preemptible: PreemptibleRun | None,
        thread: ThreadPoolExecutor,
    ) -> PipelineResult:
        """Make the picture on a thread. Raises _Dropped when nobody waits for it any more."""
        loop = asyncio.get_running_loop()

        def see(picture: Picture) -> Engine | None:
            before_ms = bound.binding.decision.option.expected_ms
            if bound.look(picture):
                expected_ms = bound.binding.decision.option.expected_ms
                telling = self._tell_end(claim, expected_ms, before_ms)
                asyncio.run_coroutine_threadsafe(telling, loop).result()
            if preemptible is not None:
                preemptible.seen(bound)
            return bound.binding.engine

        progress = Progress(preemptible.from_thread() if preemptible else None)
        work = (claim.job, claim.payload, bound.binding.engine, self._parts.limits, progress, see)
        async with held(self._leases, claim, progress, self._parts.renew_s) as lease:
            making = loop.run_in_executor(thread, make, *work)
            try:
                if preemptible is None:
                    return await making
                preemptible.lease = lease
                async with preemptible.watched(progress):
                    return await making
            except Stopped as stop:
                raise _Dropped(lease.state) from stop

    async def _tell_end(self, claim: Claim, expected_ms: float, known_ms: float) -> None:
        """Let others know when the run will end, where they expect it at quite another time."""
        if abs(expected_ms - known_ms) < WORTH_TELLING_MS:
            return
        try:
            await self._leases.report_expected_end(claim, expected_ms)
        except ConnectionError as error:
            log.warning("cannot tell when the run will end: %s", error)

    async def _fail(self, claim: Claim, record: RunRecord, error: AnysrError) -> None:
        record.failed(error)
        await _insisting(lambda: self._leases.fail(claim, error))


@dataclass(frozen=True)
class _Run:
    """One claim on its way through the worker."""

    claim: Claim
    record: RunRecord
    since: float
    thread: ThreadPoolExecutor
    aside: SuspendedRun | None
    """The picture that is set aside for it, if one is."""
    context: RunContext | None
    """None for a run that is not set aside itself."""


class _Dropped(Exception):
    """The lease is not held any more."""

    def __init__(self, state: LeaseState) -> None:
        super().__init__(state.value)
        self.state = state


def _facts(claim: Claim, bound: JobBinding, made: PipelineResult, run_ms: float) -> RunFacts:
    queue_ms = claim.claimed_ms - claim.submitted_ms
    binding, db = bound.binding, bound.binding.decision.option.db
    option, engine = binding.decision.option, binding.engine
    return RunFacts(
        model=option.rung.model,
        width=option.rung.width,
        reason=binding.decision.reason,
        predicted_ms=option.expected_ms,
        run_ms=run_ms,
        stages_ms={"queue": queue_ms, **made.stages_ms},
        expected_db=db,
        expected_db_range=bound.range(db),
        strength=claim.job.strength if engine is not None and engine.takes_strength else 0.0,
        tiles=made.tiles,
    )


def _reject_late(claim: Claim, facts: RunFacts) -> None:
    """Hold to on_miss=reject where the prediction was wrong: no picture is late."""
    if claim.job.is_rejected(claim.elapsed_ms(facts.run_ms)):
        raise DeadlineExceeded


async def _insisting(send: Callable[[], Awaitable[bool]]) -> bool:
    """Repeat a delivery while the queue is away. Raises ConnectionError in the end."""
    for pause_s in DELIVERY_PAUSES_S:
        try:
            return await send()
        except ConnectionError as error:
            log.warning("cannot deliver yet: %s", error)
            await asyncio.sleep(pause_s)
    return await send()


def _log_outage(error: Exception) -> None:
    if isinstance(error, ConnectionError):
        log.warning("the queue is away: %s", error)
    else:
        log.error("the queue failed", exc_info=error)
