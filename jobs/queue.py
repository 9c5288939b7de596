"""What the gateway and the workers may ask of a queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol

from jobs.errors import AnysrError
from jobs.job import (
    Backlog,
    Claim,
    Job,
    JobView,
    LeaseState,
    Outcome,
    QueueHealth,
    QueueStats,
    RunFacts,
    WorkerHeartbeat,
)


class NoTime(Exception):
    """A job would be late, or make another late. `backlog` is what that was told by."""

    def __init__(self, late_ms: float, backlog: Backlog) -> None:
        super().__init__(f"{late_ms:.0f} ms too late")
        self.late_ms = late_ms
        self.backlog = backlog


class JobQueue(Protocol):
    """At-least-once delivery in the order of latest start time, with fenced results.

    All times come from the queue's own clock. Every method may raise ConnectionError.
    """

    async def submit(
        self, job: Job, payload: bytes, spent_ms: float = 0.0, workers: int = 0
    ) -> JobView:
        """Accept a job whose clock has already run for `spent_ms`; its deadline is then budget_ms -
        spent_ms from now. With `workers`, only if so many can do it in time, by its `cheapest_ms`,
        beside all that was accepted before: NoTime if not. Raises Overloaded when the queue is
        full."""

    async def claim(
        self,
        worker_id: str,
        wait_s: float,
        stopping: asyncio.Event | None = None,
        capabilities: Callable[[], Iterable[str]] | None = None,
    ) -> Claim | None:
        """Lease the job that must start first, waiting up to `wait_s` for one, and no longer once
        `stopping` is set. `capabilities`, asked at each look, says which jobs may be had, in the
        words of `Job.requirement`; without it, all.

        Jobs whose lease ran out are put back first. A job that is past its deadline with
        on_miss=reject ends as deadline_exceeded, unrun; one that was claimed too often ends
        as worker_lost; one that needs what no worker has had for a while, as unknown_model. The
        claim tells what else waits and runs.
        """

    async def claim_urgent(
        self, worker_id: str, soon_ms: float, within_ms: float, capabilities: Iterable[str] = ()
    ) -> Claim | None:
        """Lease the job that must start first, of those that need what is offered, at once or not
        at all, if it must start within `soon_ms` and costs at most `within_ms` in its cheapest
        way: for a worker that could set its present job aside for so long."""

    async def report_expected_end(self, claim: Claim, predicted_ms: float) -> None:
        """Say that a run is expected to end `predicted_ms` from now, for the backlog that others
        are told. Changes nothing when the lease is no longer ours; need not be waited for."""

    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        """Prolong the lease and publish the progress."""

    async def complete(self, claim: Claim, facts: RunFacts, picture: bytes) -> bool:
        """Deliver the result; False, and nothing is stored, when the lease is no longer ours."""

    async def fail(self, claim: Claim, error: AnysrError) -> bool:
        """End the job with an error; False when the lease is no longer ours."""

    async def cancel(self, job_id: str) -> JobView:
        """Withdraw a job, and return it as it then is: a job that has ended stays as it
        ended. Raises JobNotFound."""

    async def view(self, job_id: str) -> JobView:
        """Return a job as it is. Raises JobNotFound."""

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        """Return the job when it has ended, or as it is after `timeout_s`. Raises JobNotFound."""

    async def outcome(self, view: JobView, submitted: float, timeout_s: float) -> Outcome:
        """Return a job with its picture when it has ended, or the job as it is after `timeout_s`.
        `view` is what `submit` returned, which was called after `submitted`, a moment of
        time.monotonic(). Raises JobNotFound."""

    def watch(self, job_id: str) -> AsyncIterator[JobView]:
        """Yield the job now and at each change, to its end. Raises JobNotFound."""

    async def result(self, view: JobView) -> bytes:
        """Return the encoded picture of a job as it was seen. Raises JobNotFound when its time is
        over and JobNotFinished, or the error that the job ended with."""

    async def count_worker_start(self) -> None:
        """Count one worker process that has come to life."""

    async def publish_heartbeat(self, heartbeat: WorkerHeartbeat) -> int:
        """Say that a worker lives; forgotten after a few seconds. Return how many live."""

    async def retire_worker(self, worker_id: str) -> None:
        """Say that a worker has left."""

    async def heartbeats(self) -> list[WorkerHeartbeat]:
        """Return the workers that live."""

    async def request_reload(self) -> int:
        """Call on all gateways and workers to read their models again; return the call's number."""

    async def reloads(self) -> int:
        """Return the number of the last such call; 0 before the first."""

    async def request_model(self, model: str) -> None:
        """Ask all workers to load a model that they load only when it is asked for."""

    async def requested_models(self) -> frozenset[str]:
        """Return the models that were asked for of late."""

    async def stats(self) -> QueueStats:
        """Return depth, age and backlog; takes as long for one job as for thousands."""

    async def health(self) -> QueueHealth:
        """Return what the queue counts of itself, and how much memory it has left."""

    async def close(self) -> None:
        """Close the connections."""
