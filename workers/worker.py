"""The worker's loop: claim, handle, finish.

Each job is executed on a thread while the event loop renews its lease. An error ends only the job
that it arose in. Outages of the queue are waited out: the lease of a job that could not be
delivered runs out, and the job is run again (`jobs.outages`).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from images.limits import Limits
from jobs.errors import AnysrError, DeadlineExceeded, InternalError
from jobs.job import Claim, LeaseState, RunFacts
from jobs.outages import claim_pause_s, deliver
from jobs.queue import Leases
from scheduling.load import Load
from scheduling.mix import Mix
from telemetry.logs import log_context
from telemetry.spans import Tracing
from telemetry.trace_context import trace_id_of
from workers.background import wait_for_event
from workers.binding import Binding
from workers.cost_updates import update_by_overrun, update_cost_model
from workers.current_models import CurrentModels
from workers.decoders import Decoders
from workers.execution import Execution, OnBound, begin_decoding, execute
from workers.handover import run_on
from workers.heartbeat import Heartbeat
from workers.lease import Lease, held
from workers.memory import bytes_left, concurrent_job_bytes
from workers.metrics import WorkerMetrics
from workers.pipeline import Stopped
from workers.preemption import PreemptibleRun, RunContext
from workers.run_record import RunRecord
from workers.suspended_run import SuspendedRun
from workers.watchdog import Watchdog, WatchedRun

log = logging.getLogger("anysr.workers")

MOST_RUNS = 3
"""In one worker: a run, one that preempts it, and a small one that preempts that."""

REPORTED_SHIFT_MS = 50.0
"""A run's expected end is reported when it differs by this much from the end that the queue
expects: the backlog is kept in slots of the same length."""


@dataclass(frozen=True)
class WorkerParts:
    """The dependencies of a worker."""

    leases: Leases
    current: CurrentModels
    heartbeat: Heartbeat
    metrics: WorkerMetrics
    tracing: Tracing
    limits: Limits
    watchdog: Watchdog
    renew_s: float
    """Interval between renewals of a lease."""
    wait_s: float = 30.0
    """How long one claim waits for a job."""
    available_memory: Callable[[], int | None] = lambda: None
    """Returns the bytes that a run may take; None while unknown."""
    decoders: Decoders = field(default_factory=Decoders)
    """How pictures are decoded."""


class Worker:
    """Runs one job at a time, and a more urgent or short one while that gives way."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._leases = parts.leases
        self._loaded = parts.current.loaded
        # The second runs jobs that preempt the one on the first, which waits meanwhile, or is busy
        # with decoding or encoding; the third those that preempt the second.
        self._threads = [ThreadPoolExecutor(1, f"run-{depth}") for depth in range(MOST_RUNS)]
        self._mix = Mix()
        self._idle_since: float | None = time.perf_counter()
        """When the last job ended; None while one is running."""
        self._unrun: Claim | None = None
        """A job that was claimed to preempt a run, which ended before it could: the next to run."""

    def between_jobs(self, call: Callable[[], float]) -> float:
        """Return the result of a call that is run between two jobs. Blocks; not for the event
        loop's thread. Raises RuntimeError once the worker has ended."""
        return self._threads[0].submit(call).result()

    @property
    def idle_s(self) -> float:
        """Seconds since the last job ended; 0 while one is running."""
        since = self._idle_since
        return time.perf_counter() - since if since is not None else 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Run jobs until `stopping` is set; return when the current one has ended."""
        outages = 0
        while self._unrun is not None or not stopping.is_set():
            try:
                claim = await self._claim(stopping)
                outages = 0
                if claim is not None:
                    with self._busy():
                        await self._handle(self._context(claim, stopping))
            except Exception as error:
                _log_outage(error)
                await wait_for_event(stopping, claim_pause_s(outages))
                outages += 1
        for thread in self._threads:
            thread.shutdown()

    async def _claim(self, stopping: asyncio.Event) -> Claim | None:
        claim, self._unrun = self._unrun, None
        if claim is not None:
            return claim
        worker_id, wait_s = self._parts.heartbeat.worker_id, self._parts.wait_s
        return await self._leases.claim(
            worker_id, wait_s, stopping, self._capabilities, self._parts.current.changed
        )

    def _capabilities(self) -> tuple[str, ...]:
        """Return what the next job may require, and keep the models that it is then run with."""
        self._loaded = self._parts.current.loaded
        return self._loaded.capabilities

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        self._parts.heartbeat.busy(True)
        self._idle_since = None
        try:
            yield
        finally:
            self._idle_since = time.perf_counter()
            self._parts.heartbeat.busy(False)

    def _context(
        self, claim: Claim, stopping: asyncio.Event, suspended: SuspendedRun | None = None
    ) -> RunContext:
        worker_id, preempt = self._parts.heartbeat.worker_id, partial(self._preempt, stopping)
        common = (claim, self._leases, worker_id, self._loaded, stopping)
        return RunContext(*common, preempt, self, suspended)

    def prepare(self) -> None:
        """Start the decoder for jobs that run beside another."""
        self._parts.decoders.prepare()

    def bytes_left(self) -> int:
        """Return the memory for a concurrent job (`workers.memory.concurrent_job_bytes`)."""
        return concurrent_job_bytes(self._parts.limits, self._parts.available_memory())

    async def _preempt(
        self, stopping: asyncio.Event, claim: Claim, suspended: SuspendedRun
    ) -> None:
        """Run a job while another gives way, and then one that was claimed to preempt it in turn,
        and came too late."""
        following: Claim | None = claim
        since, spare_ms = time.perf_counter(), suspended.spare_ms
        while following is not None:
            self._parts.metrics.suspended()
            await self._handle(self._context(following, stopping, suspended))
            following, self._unrun = self._unrun, None
            spent_ms = (time.perf_counter() - since) * 1e3
            suspended = replace(suspended, spare_ms=max(0.0, spare_ms - spent_ms))

    async def _handle(self, run: RunContext) -> None:
        """Bind, execute and deliver one job. Raises ConnectionError if its error cannot be
        delivered."""
        parts, claim = self._parts, run.claim
        with log_context(request_id=claim.job.id, trace_id=trace_id_of(claim.job.traceparent)):
            record = RunRecord(claim, parts.heartbeat.worker_id, parts.metrics, parts.tracing)
            preemptible = PreemptibleRun(run)
            try:
                async with held(self._leases, claim, preemptible.progress, parts.renew_s) as lease:
                    try:
                        outcome = await self._outcome(run, preemptible, lease, record)
                    except Exception as error:
                        outcome = error
                    await self._finish(claim, record, outcome)
            finally:  # a job beside this one may outlast it, which no caller is to wait for
                self._unrun = await preemptible.last_claim() or self._unrun

    async def _outcome(
        self, run: RunContext, preemptible: PreemptibleRun, lease: Lease, record: RunRecord
    ) -> RunFacts | Exception:
        """Execute a job and deliver its picture."""
        execution, claim = await self._execute(run, preemptible, lease, record), run.claim
        facts = run.loaded.fingerprinted(preemptible.facts(execution))
        try:
            _reject_late(claim, facts)
            free = not preemptible.has_claimed
            if await self._deliver(run, facts, execution.result.picture, free):
                return facts
            return _Dropped(LeaseState.LOST)
        finally:  # the caller need not wait for it
            if not preemptible.ran_concurrently:
                update_cost_model(execution, facts.run_ms, preemptible.uniform)
            if preemptible.overrun is not None:
                update_by_overrun(execution, preemptible.overrun)

    async def _deliver(self, run: RunContext, facts: RunFacts, picture: bytes, free: bool) -> bool:
        """Deliver a picture, and claim the next job in the same call if the worker is free: none
        was claimed during this run, or before it."""
        free = free and run.suspended is None and self._unrun is None
        if not free or run.stopping.is_set():
            return await deliver(partial(self._leases.complete, run.claim, facts, picture))
        following = self._parts.heartbeat.worker_id, self._capabilities()
        send = self._leases.complete_and_claim
        delivered, self._unrun = await deliver(partial(send, run.claim, facts, picture, *following))
        return delivered

    async def _execute(
        self, run: RunContext, preemptible: PreemptibleRun, lease: Lease, record: RunRecord
    ) -> Execution:
        """Execute a job on a thread. Raises _Dropped when its lease is no longer held."""
        claim, progress, parts = run.claim, preemptible.progress, self._parts
        thread = self._threads[0 if run.suspended is None else run.suspended.depth]
        goes_on = run.suspended is not None and run.suspended.goes_on
        decode_within = parts.decoders.beside if goes_on else parts.decoders.first
        decode = decode_within(claim.run_slack_ms / 1e3)
        begin_decoding(decode, claim.job, claim.payload, parts.limits)
        backlog, available_bytes = claim.backlog, parts.available_memory()
        if run.suspended is not None:
            backlog = run.suspended.waiting_in(backlog)
            available_bytes = self._bytes_during(run.suspended, available_bytes)
        # The queue lists the runs of others only: this worker is free for the job.
        load = Load.of(backlog, parts.heartbeat.live_workers, free=1, mix=self._mix)
        if run.suspended is not None:
            load = replace(load, spare_ms=run.suspended.spare_ms)
        load = replace(load, rescues=run.gives_way)
        work = partial(
            execute,
            *(
                claim.job,
                claim.payload,
                run.loaded.models,
                run.loaded.costs,
                claim.run_slack_ms,
                load,
            ),
            parts.limits,
            progress=progress,
            available_bytes=available_bytes,
            decode=decode,
        )
        try:
            with parts.watchdog.watching(claim.job.id, preemptible) as watched:
                on_bound = self._on_bound(claim, preemptible, watched, record)
                async with preemptible.watched(lease):
                    # In this context, so that log lines of the thread name the job as well.
                    call = partial(contextvars.copy_context().run, work, on_bound=on_bound)
                    execution = await run_on(thread, call)
        except Stopped as stop:
            raise _Dropped(lease.state) from stop
        record.made(execution.result)
        return execution

    def _bytes_during(self, other: SuspendedRun, available_bytes: int | None) -> int:
        """Return what a run may take during another one."""
        limits = self._parts.limits
        if other.goes_on or other.before is not None:
            return concurrent_job_bytes(limits, available_bytes)
        return bytes_left(limits, other.held_bytes, available_bytes)

    def _on_bound(
        self, claim: Claim, preemptible: PreemptibleRun, watched: WatchedRun, record: RunRecord
    ) -> OnBound:
        """Return the hook that publishes a job's bindings, to be called on its thread."""
        reported_ms = claim.job.cheapest_ms

        def on_bound(bound: Binding) -> None:
            nonlocal reported_ms
            expected_ms = bound.option.expected_ms
            if abs(expected_ms - reported_ms) >= REPORTED_SHIFT_MS:
                preemptible.on_loop(self._report_end(claim, expected_ms))
                reported_ms = expected_ms
            if bound.expectation is None:
                record.bound(bound.choice)
            watched.bind(bound)
            preemptible.bind(bound)

        return on_bound

    async def _report_end(self, claim: Claim, expected_ms: float) -> None:
        try:
            await self._leases.report_expected_end(claim, expected_ms)
        except ConnectionError as error:
            log.warning("cannot report the expected end of the run: %s", error)

    async def _finish(self, claim: Claim, record: RunRecord, outcome: RunFacts | Exception) -> None:
        """Record the end of a run, and deliver its error if it has one."""
        match outcome:
            case RunFacts():
                record.succeeded(outcome)
            case _Dropped():
                record.dropped(outcome.state)
            case ConnectionError():
                record.undelivered(outcome)
            case AnysrError():
                await self._fail(claim, record, outcome)
            case _:
                log.error("a bug", exc_info=outcome)
                await self._fail(claim, record, InternalError())

    async def _fail(self, claim: Claim, record: RunRecord, error: AnysrError) -> None:
        record.failed(error)
        await deliver(lambda: self._leases.fail(claim, error))


class _Dropped(Exception):
    """The lease is no longer held, so nothing is delivered."""

    def __init__(self, state: LeaseState) -> None:
        super().__init__(state.value)
        self.state = state


def _reject_late(claim: Claim, facts: RunFacts) -> None:
    """Raise DeadlineExceeded for a late picture with on_miss=reject: the prediction was wrong."""
    if claim.job.is_rejected(claim.elapsed_ms(facts.run_ms)):
        raise DeadlineExceeded


def _log_outage(error: Exception) -> None:
    if isinstance(error, ConnectionError):
        log.warning("the queue is away: %s", error)
    else:
        log.error("the queue failed", exc_info=error)
