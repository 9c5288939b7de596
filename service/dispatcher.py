"""Dispatcher: submits a planned job through admission to the queue, and waits for its picture."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from jobs.client_limits import ClientLimits
from jobs.errors import (
    AnysrError,
    BudgetInfeasible,
    DeadlineExceeded,
    JobCancelled,
    JobNotFound,
    NotDurable,
    NotDurableYet,
    NotReady,
    Overloaded,
    QuotaExceeded,
    ResultExpired,
    ShareExceeded,
    TooManyJobs,
)
from jobs.job import JobRequest, JobStatus, JobView, OnMiss, Outcome
from jobs.outages import seen_by_callers
from jobs.queue import NoTime, OverShare, Registry, Submissions
from jobs.terms import NO_TERMS, Terms
from scheduling.overhead import Overhead
from service.admission import NOT_READY_RETRY_S, Assessment, admitted, assessed, no_time, over_share
from service.caller_gone import CallerGone, first
from service.catalog_store import CatalogStore
from service.default_budgets import DefaultBudget
from service.idempotency import Asked
from service.metrics import GatewayMetrics, why_ended
from service.picture_response import deadline_text
from service.result_room import ResultRoom, ResultShare, read_result
from service.settings import GatewaySettings
from service.snapshot import Snapshot, SnapshotCache
from telemetry.trace_context import trace_id_of

log = logging.getLogger(__name__)

REFUSALS = (
    *(BudgetInfeasible, NotDurable, NotDurableYet),
    *(NotReady, Overloaded, QuotaExceeded, TooManyJobs),
)
"""Errors of a submission that are counted as rejections; others are faults of the request."""
DROP_EVERY_S = 0.25
"""Time for which deletions of results are collected."""


@dataclass(frozen=True)
class Finished:
    """A picture, its job, and the time from the end of the upload to now."""

    view: JobView
    picture: bytes
    elapsed_ms: float
    share: ResultShare
    """The picture's room, to be released when it was sent."""


class Dispatcher:
    """Submits jobs, waits for their pictures, and counts how they end."""

    def __init__(
        self,
        submissions: Submissions,
        registry: Registry,
        snapshots: SnapshotCache,
        catalogs: CatalogStore,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        room: ResultRoom,
    ) -> None:
        self._submissions = submissions
        self._registry = registry
        self._snapshots = snapshots
        self._catalogs = catalogs
        self._settings = settings
        self._metrics = metrics
        self._overhead = Overhead(settings.overhead_ms)
        self._room = room
        self._background: set[asyncio.Task[None]] = set()
        self._dropped: list[JobView] = []
        """Jobs whose results are deleted with the next call."""

    @property
    def overhead_ms(self) -> float:
        """Present estimate of the time that gateway and queue add to a run."""
        return self._overhead.ms

    async def assess(self, job: JobRequest, default: DefaultBudget | None = None) -> Assessment:
        """Return what a job would take now, by the rules of `submit`, without submitting it.

        Raises InvalidRequest and NotReady, and ConnectionError while the queue cannot be reached.
        """
        snapshot = self._snapshots.current
        if snapshot.ready:
            stats = await self._submissions.stats(job.client, job.share)
            snapshot = replace(snapshot, stats=stats)
        return assessed(job, snapshot, self._catalogs.catalog, self._overhead.ms, default)

    async def submit(
        self,
        job: JobRequest,
        picture: bytes,
        received: float,
        default: DefaultBudget | None = None,
        limits: ClientLimits | None = None,
        terms: Terms = NO_TERMS,
    ) -> JobView:
        """Submit a job to the queue, if it is admitted and its client's limits allow it. Return it,
        or the job that has its idempotency key already, whatever admission would say now.

        The budget's clock runs since `received`, by time.monotonic(). With `default`, the budget
        is what the picture needs, within these bounds. Raises BudgetInfeasible, InvalidRequest,
        IdempotencyKeyReused, NotDurable, NotDurableYet, NotReady, Overloaded, QuotaExceeded,
        ShareExceeded and TooManyJobs.
        """
        try:
            if (known := await self._earlier(terms)) is not None:
                return known
            snapshot = self._snapshots.current
            await self._request_missing_model(job, snapshot)
            try:
                return await self._submit(job, picture, received, snapshot, default, limits, terms)
            except NoTime as refusal:
                if default is None:
                    raise
                # The snapshot was out of date: with the queue's own backlog the default budget is
                # longer.
                snapshot = snapshot.with_backlog(refusal.backlog)
                return await self._submit(job, picture, received, snapshot, default, limits, terms)
        except OverShare as refusal:
            self._metrics.rejected(ShareExceeded.code)
            raise over_share(refusal.late_ms) from None
        except NoTime as refusal:
            self._metrics.rejected(Overloaded.code)
            raise no_time(refusal.late_ms) from None
        except ConnectionError as error:
            self._metrics.rejected(NotReady.code)
            raise NotReady(seen_by_callers(error), retry_after_s=NOT_READY_RETRY_S) from None
        except REFUSALS as error:
            self._metrics.rejected(error.code)
            raise

    async def _earlier(self, terms: Terms) -> JobView | None:
        if terms.idempotency is None:
            return None
        return await self._submissions.earlier(terms.idempotency, terms.durable)

    async def _submit(
        self,
        job: JobRequest,
        picture: bytes,
        received: float,
        snapshot: Snapshot,
        default: DefaultBudget | None,
        limits: ClientLimits | None,
        terms: Terms,
    ) -> JobView:
        ready = admitted(job, snapshot, self._catalogs.catalog, self._overhead.ms, default)
        workers, spent_ms = len(snapshot.ready_for(job.requirement)), _since(received)
        return await self._submissions.submit(ready, picture, spent_ms, workers, limits, terms)

    async def _request_missing_model(self, job: JobRequest, snapshot: Snapshot) -> None:
        """Request that workers load the job's model, if it is loaded on demand and no worker has
        it. The job itself is refused, because its cost is unknown until then."""
        on_demand = self._catalogs.catalog.on_demand(job.model)
        cold = on_demand and not snapshot.ready_for(job.requirement)
        if cold and job.model is not None:
            await self._registry.request_model(job.model)

    def count_end_in_background(
        self, view: JobView, on_success: Callable[[JobView], None] = lambda _: None
    ) -> None:
        """Count the end of a job that no request waits for, in metrics and log."""
        self._start(self._count_end(view, on_success))

    def drop_result_soon(self, view: JobView) -> None:
        """Delete a picture that nobody will fetch any more; otherwise it would fill Redis until it
        expires, and could be read by all who know the job's id. Pictures of `DROP_EVERY_S` are
        deleted in one call, because a call for each would cost a request a tenth of its time."""
        if not self._dropped:
            self._start(self._drop_results())
        self._dropped.append(view)

    async def _drop_results(self) -> None:
        try:
            await asyncio.sleep(DROP_EVERY_S)
        finally:  # also when the gateway stops
            views, self._dropped = self._dropped, []
            await asyncio.shield(self._submissions.drop_results(views))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """Cancel the background tasks."""
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def wait_for_picture(
        self,
        view: JobView,
        received: float,
        gone: Callable[[], Awaitable[None]],
        asked: Asked = Asked.ONCE,
    ) -> Finished:
        """Wait for the picture of a submitted job, for as long as its caller does. A job whose
        picture may be asked for again goes on without the caller.

        `view` is the result of `submit`; `gone` returns when the caller has left. Raises
        CallerGone, DeadlineExceeded, NotReady if the queue has lost the job or there is no room
        for its picture, or the error with which the job ended.
        """
        share = self._room.share(view.job)
        try:
            finished = await self._picture_if_kept(view, received, gone, share, asked)
        except BaseException as error:
            share.release()
            self._count_failure(error, view, asked)
            raise
        if asked is not Asked.AGAIN:
            asyncio.get_running_loop().call_soon(self._count_success, finished)
        return finished

    def _count_success(self, finished: Finished) -> None:
        """Count a picture, once its answer is on its way."""
        view = finished.view
        self._metrics.job_succeeded(view.job, why_ended(view), finished.elapsed_ms)

    def _count_failure(self, error: BaseException, view: JobView, asked: Asked) -> None:
        if isinstance(error, CallerGone) and asked is Asked.FIRST:
            self.count_end_in_background(view)
        elif isinstance(error, AnysrError | CallerGone) and asked is not Asked.AGAIN:
            self._metrics.job_failed(*_labels_of(error))

    async def _picture_if_kept(
        self,
        view: JobView,
        received: float,
        gone: Callable[[], Awaitable[None]],
        share: ResultShare,
        asked: Asked,
    ) -> Finished:
        try:
            return await self._picture(view, received, gone, share, asked)
        except (JobNotFound, ResultExpired):
            if view.ended:  # the picture of an earlier request
                raise
            # An admitted job is lost if Redis restarts without its data.
            raise NotReady("The queue has lost this job; please send the picture again.") from None

    async def _picture(
        self,
        view: JobView,
        received: float,
        gone: Callable[[], Awaitable[None]],
        share: ResultShare,
        asked: Asked,
    ) -> Finished:
        job = view.job
        outcome = await self._wait_for_end(view, received, gone, share, asked)
        view, picture = outcome.view, outcome.picture
        if view.status is not JobStatus.SUCCEEDED:
            raise view.error
        if picture is None:
            picture = await read_result(self._submissions, view, share)
        share.settle(len(picture))
        elapsed_ms = view.elapsed_ms if asked is Asked.AGAIN else _since(received)
        if view.facts is not None and asked is not Asked.AGAIN:
            own_ms = view.facts.stages_ms.get("queue", 0.0) + view.facts.run_ms
            self._overhead.observe(elapsed_ms - own_ms - share.waited_ms)
        if job.is_rejected(elapsed_ms):
            if asked is Asked.ONCE:
                self.drop_result_soon(view)
            raise _late(job)
        return Finished(view, picture, elapsed_ms, share)

    async def _wait_for_end(
        self,
        view: JobView,
        received: float,
        gone: Callable[[], Awaitable[None]],
        share: ResultShare,
        asked: Asked,
    ) -> Outcome:
        """Return how the job ended. Cancel it if that takes too long, and also if the caller leaves
        whom alone it is for."""
        job = view.job
        grace_ms = 0.0 if job.on_miss is OnMiss.REJECT else self._settings.grace_ms
        patience_s = max(0.0, job.budget_ms + grace_ms - _since(received)) / 1e3
        ending = self._submissions.outcome(view, patience_s, share.take_most)
        try:
            outcome = await first(ending, gone())
        except (asyncio.CancelledError, CallerGone):
            if asked is Asked.ONCE:
                await asyncio.shield(self._try_to_cancel(job.id))
            raise
        if outcome.ended:
            return outcome
        view = await self._submissions.cancel(job.id)
        if view.status is JobStatus.SUCCEEDED:
            return Outcome(view)
        raise _late(job)

    async def _try_to_cancel(self, job_id: str) -> None:
        try:
            await self._submissions.cancel(job_id)
        except (AnysrError, ConnectionError) as error:
            log.warning("job %s could not be cancelled: %s", job_id, error)

    async def _count_end(self, view: JobView, on_success: Callable[[JobView], None]) -> None:
        patience_s = (view.job.budget_ms + self._settings.grace_ms) / 1e3
        try:
            view = await self._submissions.wait(view.job.id, patience_s)
        except (AnysrError, ConnectionError) as error:
            log.warning("the end of job %s could not be observed: %s", view.job.id, error)
            return
        if view.ended:
            self._metrics.job_seen(view)
            log.info("job ended", extra=_end_fields(view))
        if view.status is JobStatus.SUCCEEDED:
            on_success(view)


def decision_of(view: JobView) -> dict[str, Any]:
    """Return the worker's decision and its measured time, as fields for log line and span."""
    facts = view.facts
    if facts is None:
        return {}
    return {
        "model": facts.model,
        "width": facts.width,
        "reason": facts.reason.value,
        "predicted_ms": round(facts.predicted_ms, 2),
        "run_ms": round(facts.run_ms, 2),
        "attempt": view.attempt,
    }


def _end_fields(view: JobView) -> dict[str, Any]:
    """Return the log fields of a job that no request waited for."""
    return {
        "request_id": view.job.id,
        **({} if view.job.client is None else {"client": view.job.client}),
        "trace_id": trace_id_of(view.job.traceparent),
        **decision_of(view),
        "outcome": view.status.value,
        "reason": why_ended(view),
        "budget_ms": view.job.budget_ms,
        "elapsed_ms": round(view.elapsed_ms, 2),
        "deadline": deadline_text(view.job, view.elapsed_ms),
    }


def _late(job: JobRequest) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"The picture was not finished within {job.budget_ms:g} ms.", budget_ms=job.budget_ms
    )


def _labels_of(error: AnysrError | CallerGone) -> tuple[str, str]:
    """Return (outcome, reason) for the metrics."""
    if isinstance(error, CallerGone):
        return JobStatus.CANCELLED.value, "disconnected"
    if isinstance(error, JobCancelled):
        return JobStatus.CANCELLED.value, error.code
    return JobStatus.FAILED.value, error.code


def _since(moment: float) -> float:
    """Return the milliseconds since a moment of time.monotonic()."""
    return (time.monotonic() - moment) * 1e3
