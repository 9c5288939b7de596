"""The queue's contract in parts, each for those who use it.

Gateways use `Submissions`, `Batches`, `Deliveries`, `Clients`, `Registry` and `CachedPictures` (in
`jobs.cached_pictures`), workers `Leases` and `Registry`. Jobs are delivered at least once, in the
order of latest start time, with fenced results. All times come from the queue's own clock. Every
method may raise ConnectionError.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from jobs.backlog import Backlog, QueueStats
from jobs.batch import BatchItem, BatchView, NewBatch
from jobs.cached_pictures import CachedPictures
from jobs.client_limits import Allowance, ClientLimits
from jobs.errors import AnysrError
from jobs.heartbeat import HeartbeatAnswer, WorkerHeartbeat
from jobs.job import (
    Claim,
    DeliveryKind,
    DeliveryView,
    Job,
    JobView,
    LeaseState,
    Outcome,
    RunFacts,
)
from jobs.queue_health import QueueHealth
from jobs.terms import NO_TERMS, Idempotency, Terms
from jobs.uploads import Uploads

Capabilities = Callable[[], Iterable[str]]
"""Returns the requirements (`Job.requirement`) that a worker meets at this moment; none means
all."""


class NoTime(Exception):
    """A job would be late by `late_ms`, or make another late, behind this backlog."""

    def __init__(self, late_ms: float, backlog: Backlog) -> None:
        super().__init__(f"{late_ms:.0f} ms too late")
        self.late_ms = late_ms
        self.backlog = backlog


class OverShare(NoTime):
    """A client has so much waiting that its jobs would be late by `late_ms` on its part of the
    workers alone."""


class Submissions(Protocol):
    """Accepts jobs from gateways and returns their states and results."""

    async def submit(
        self,
        job: Job,
        payload: bytes,
        spent_ms: float = 0.0,
        workers: int = 0,
        limits: ClientLimits | None = None,
        terms: Terms = NO_TERMS,
    ) -> JobView:
        """Accept a job with its encoded picture, `spent_ms` after the end of its upload: its
        deadline is budget_ms - spent_ms from now. A job whose id is known is returned as it is, and
        so is the job that already has the idempotency key of the terms (IdempotencyKeyReused if
        that was another request).

        Raises Overloaded (details: retry_after_s) when the queue or its memory is full. With
        `workers` above 0, raises NoTime unless so many workers can run it in time, at its
        `cheapest_ms`, beside all that was accepted before; and OverShare if its client, of weight
        `share`, has too much waiting beside other active clients. With the `limits` of its client,
        an accepted job is counted for it; raises QuotaExceeded and TooManyJobs.

        With `terms.durable` the job and its picture are on disk when this returns. Raises
        NotDurable, and submits nothing, where the server cannot promise that; and NotDurableYet
        where the disk did not confirm in time: a job with an idempotency key may run then, and the
        same call waits for the disk again; any other was withdrawn.
        """

    async def check_durable(self) -> None:
        """Raise NotDurable, whose text is one line with the remedy, where no job can be durable."""

    async def earlier(self, idempotency: Idempotency, durable: bool = False) -> JobView | None:
        """Return the job that has this key, for as long as the job is known, and, if `durable`,
        once it is on disk (NotDurable and NotDurableYet as for `submit`). Raises
        IdempotencyKeyReused if it was submitted by another request."""

    async def cancel(self, job_id: str) -> JobView:
        """Withdraw a job that has not ended, and return its state. Raises JobNotFound."""

    async def view(self, job_id: str) -> JobView:
        """Return the state of a job. Raises JobNotFound; DataLoss for a damaged record."""

    async def wait(self, job_id: str, timeout_s: float) -> JobView:
        """Return the job once it has ended, or its state after `timeout_s`. Raises JobNotFound.

        An outage during the wait is bridged; ConnectionError if it lasts until the timeout.
        """

    async def outcome(
        self,
        view: JobView,
        timeout_s: float,
        with_picture: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """Return a job with its picture once it has ended, or its state after `timeout_s`.

        `with_picture` is called right before the picture would be read along with the job, at each
        attempt; where it returns False, the job is read alone.

        `view` is the result of `submit`: a job that this process has submitted is read only at its
        end, and not even then where the event of that brings the result. Raises JobNotFound;
        outages as for `wait`.
        """

    def watch(self, job_id: str) -> AsyncIterator[JobView]:
        """Yield the job's state now and at each change, to its end. Raises JobNotFound.

        Changes faster than the reader are coalesced; outages are bridged.
        """

    async def result(self, view: JobView) -> bytes:
        """Return the encoded picture of a job that succeeded.

        Raises ResultExpired when it has expired or was dropped, DataLoss when other bytes are there
        than the worker delivered, JobNotFinished, and the error that the job ended with.
        """

    async def result_bytes(self, view: JobView) -> int:
        """Return the size of a job's encoded picture in bytes; 0 if there is none."""

    async def result_url(self, view: JobView) -> str | None:
        """Return a URL from which a caller can fetch the encoded picture of a job that succeeded,
        without this service, for some minutes; None where pictures have none, or it has expired.
        Raises as `result`."""

    async def drop_results(self, views: Iterable[JobView]) -> None:
        """Delete the encoded pictures of jobs in one call; their records stay. During an outage it
        has no effect: the pictures expire later."""

    async def stats(self, client: str | None = None, share: int = 1) -> QueueStats:
        """Return depth, age and backlog, in a time that does not depend on the depth. The backlog
        has what the client of this weight has in it; None: callers without a key."""


class Clients(Protocol):
    """Counts what clients use, right with several gateways."""

    async def allow(self, limits: ClientLimits, *, submits: bool) -> Allowance:
        """Count one request of a client, which is about to submit a job or not, and return what it
        has left. The allowance has a `refusal`, which is not raised, where a limit is reached: for
        a job, also that of pixels and of waiting jobs.

        When Redis is full, nothing can be counted: raises Overloaded for a job, and allows other
        requests.
        """


@dataclass(frozen=True)
class Gap:
    """What a worker can run during its present run. All times in ms."""

    remaining_ms: float
    """What the present run still takes: a job that must start before its end is urgent."""
    spare_ms: float
    """Most cheapest cost of a job: for how long the present run can be put off."""
    short_ms: float = 0.0
    """A small job (`Job.small`) whose narrowest network costs at most this is taken also if it is
    not urgent."""
    small_only: bool = False
    """Whether only small jobs are taken."""
    run: str = ""
    """Id of the present run's job; empty for an idle worker. While its client is below its part of
    the workers, it gives way to others beyond theirs only where not all could be in time else."""


class Completion(NamedTuple):
    """The delivery of a result, and what follows it."""

    delivered: bool
    """False when the lease was lost: nothing is stored then."""
    following: Claim | None = None
    """The next job of the same worker."""


class Leases(Protocol):
    """Hands jobs to workers, and takes their results back under a fencing token."""

    async def claim(
        self,
        worker_id: str,
        wait_s: float,
        stopping: asyncio.Event | None = None,
        capabilities: Capabilities | None = None,
        changed: asyncio.Event | None = None,
    ) -> Claim | None:
        """Lease the job with the earliest latest start among those that this worker can run.

        Waits up to `wait_s` for one, and no longer once `stopping` is set. `capabilities` is
        called at each attempt, and again when `changed` is set; without it, the worker can run
        everything. A worker that waits is woken by jobs that it can run alone.

        A worker gets a job also while it waits, and may be asleep then: a claim that is
        `handed_over` has a short lease, and counts as an attempt from its first renewal.

        Jobs whose lease expired are requeued first. On the way these jobs end without a run: past
        its deadline with on_miss=reject, as deadline_exceeded; attempted too often, as worker_lost;
        without any worker that meets its requirement for a while, as unknown_model or
        unknown_width.
        """

    async def claim_urgent(
        self, worker_id: str, gap: Gap, capabilities: Iterable[str] = ()
    ) -> Claim | None:
        """Lease the job with the earliest latest start among those that fit the gap, without
        waiting: for a worker that is busy with another run. A job that does not fit is passed over
        for one that makes it no later than it is."""

    async def report_expected_end(self, claim: Claim, predicted_ms: float) -> None:
        """Publish that a run is expected to end `predicted_ms` from now, as part of the backlog.
        Has no effect when the lease is lost; the caller need not wait for it."""

    async def renew(self, claim: Claim, progress: float) -> LeaseState:
        """Prolong the lease and publish the progress, a fraction from 0 to 1.

        Where the lease is not held any more, the queue counts the worker as busy until
        `report_stopped`, but no longer than a lease holds.
        """

    async def report_stopped(self, claim: Claim) -> None:
        """Report that the run of a job that was withdrawn or lost has ended: its worker is free."""

    async def complete(self, claim: Claim, facts: RunFacts, picture: bytes) -> bool:
        """Deliver the result. Returns False, and stores nothing, when the lease is lost. Raises
        OutputTooLarge for a picture that the queue can never hold; the lease is then kept."""

    async def complete_and_claim(
        self,
        claim: Claim,
        facts: RunFacts,
        picture: bytes,
        worker_id: str,
        capabilities: Iterable[str] = (),
    ) -> Completion:
        """Deliver the result as `complete`, and lease the next job in the same round trip, if one
        waits. Nothing is leased while the present job is not ended."""

    async def fail(self, claim: Claim, error: AnysrError) -> bool:
        """End the job with an error. Returns False when the lease is lost."""


@dataclass(frozen=True)
class Delivery:
    """What is delivered for an ended job or batch, leased. `token` fences."""

    id: str
    """Name of the record, the same in all attempts."""
    view: JobView | BatchView
    kind: DeliveryKind
    as_it_stands: DeliveryView
    token: int
    url: str | None = field(default=None, repr=False)
    """The secret URL of a picture that goes to none of the buckets; None once it has expired."""

    @property
    def job(self) -> JobView:
        """The job; only jobs have pictures. Raises TypeError for a batch."""
        if isinstance(self.view, JobView):
            return self.view
        raise TypeError("a batch has no picture")


class AttemptOutcome(StrEnum):
    """How an attempt to deliver went."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """It may be tried again."""
    REFUSED = "refused"
    """It must not be tried again."""


@dataclass(frozen=True)
class Attempt:
    """An attempt to deliver."""

    outcome: AttemptOutcome
    answer: str
    """Status of HTTP, or code of an error."""
    delay_ms: float = 0.0
    """Pause before the next attempt, if it failed."""


class DeliveryState(StrEnum):
    """What becomes of a delivery after an attempt."""

    DELIVERED = "delivered"
    WAITING = "waiting"
    """It will be tried again."""
    DEAD = "dead"
    """It was given up, and is kept among the dead."""
    LOST = "lost"
    """The lease had run out, so the attempt does not count."""


class Deliveries(Protocol):
    """Pictures and webhooks of ended jobs: due in the same step that ends a job, leased by
    gateways, delivered at least once."""

    async def claim(
        self,
        most: int,
        per_host: int,
        delivering: Mapping[str, int],
        leases_s: Mapping[DeliveryKind, float],
    ) -> tuple[list[Delivery], float | None]:
        """Lease up to `most` deliveries that are due, each for as long as its kind needs; of each
        host up to `per_host`, less those that this gateway is `delivering`. Return them, and after
        how many seconds the next one is due that it could take."""

    async def end(self, delivery: Delivery, attempt: Attempt, window_s: float) -> DeliveryState:
        """Record an attempt. A failed one is repeated after its delay, but not later than
        `window_s` after the first was due, and for a picture not after it has expired."""

    async def wait(self, wait_s: float, stopping: asyncio.Event) -> None:
        """Return when a delivery may have become due, after `wait_s` or a second at the latest, or
        when `stopping` is set."""

    async def dead(self, most: int) -> list[JobView | BatchView]:
        """Return the jobs and batches of which a delivery was given up, newest first; the last 1000
        are kept."""

    async def resend(self, ended_id: str) -> bool:
        """Make a delivery that was given up due again, the webhook of a picture after it; False if
        none is among the dead."""


@dataclass(frozen=True)
class BatchLease:
    """A batch that one gateway works off. `token` fences."""

    batch_id: str
    token: str


class BatchHold(StrEnum):
    """What a gateway learns of a batch that it works off."""

    HELD = "held"
    CANCELLING = "cancelling"
    """Its caller has withdrawn what is left."""
    ENDED = "ended"
    """Its last source has ended."""
    LOST = "lost"
    """The lease had run out, so nothing was written."""


class Batches(Protocol):
    """Keeps batches, and leases those that have not ended to gateways, which submit their jobs.

    A batch is kept as long after its end as the record of a job.
    """

    async def create(
        self, batch: NewBatch, most: int, most_own: int, terms: Terms = NO_TERMS
    ) -> BatchView:
        """Keep a new batch, or return the one that has the idempotency key of the terms
        (IdempotencyKeyReused if that was another request). Raises Overloaded if `most` batches, or
        `most_own` of the same client, have not ended, and when Redis is full."""

    async def view(self, batch_id: str) -> BatchView:
        """Return the state of a batch. Raises BatchNotFound."""

    def watch(self, batch_id: str) -> AsyncIterator[BatchView]:
        """Yield the state now and at each change, to the end. Raises BatchNotFound."""

    async def items(self, batch_id: str, first: int, most: int) -> list[BatchItem]:
        """Return `most` sources from the index `first` on; none beyond the last, or of no batch.
        The URLs to which their pictures are put are left out."""

    async def with_urls(
        self, batch_id: str, first: int, items: Sequence[BatchItem]
    ) -> list[BatchItem]:
        """Return sources, the first of which has this index, with these URLs, as far as they have
        not ended."""

    async def cancel(self, batch_id: str) -> BatchView:
        """Withdraw what is left of a batch, and return its state. Raises BatchNotFound."""

    async def claim(self, most: int) -> list[BatchLease]:
        """Lease up to `most` batches that no gateway works off."""

    async def renew(self, lease: BatchLease) -> BatchHold:
        """Prolong a lease."""

    async def record(self, lease: BatchLease, index: int, item: BatchItem) -> BatchHold:
        """Write a source, unless it has ended, and prolong the lease."""

    async def release(self, lease: BatchLease) -> None:
        """Let another gateway go on."""


class Registry(Protocol):
    """Knows the live workers, passes on requests to all of them, and reports the queue's health."""

    async def count_worker_start(self) -> None:
        """Count the start of one worker process."""

    async def count_stuck_worker(self) -> None:
        """Count a worker process that hung and is replaced."""

    async def publish_heartbeat(self, heartbeat: WorkerHeartbeat) -> HeartbeatAnswer:
        """Store a worker's heartbeat and capabilities, which expire after `pulse_ttl_seconds`, and
        return what a worker asks for with each.

        Heartbeats look after the queue as well: they have an idle worker claim where a lease has
        run out, or where jobs wait that perhaps nobody will run.
        """

    async def retire_worker(self, worker_id: str) -> None:
        """Remove the heartbeat of a worker that stops."""

    async def heartbeats(self) -> list[WorkerHeartbeat]:
        """Return the heartbeats of the live workers, by id. Those that cannot be read are left
        out: a worker of another version must not break the gateway."""

    async def request_reload(self) -> int:
        """Request that all gateways and workers read their models again; return the request's
        number."""

    async def reloads(self) -> int:
        """Return the number of the last reload request; 0 before the first."""

    async def request_model(self, model: str) -> None:
        """Request that all workers load a model that they load only on demand; those that start
        within the next hour load it as well."""

    async def requested_models(self) -> frozenset[str]:
        """Return the models that were requested within the last hour."""

    async def health(self) -> QueueHealth:
        """Return the queue's counters and the memory that its servers have left."""


class Upkeep(Protocol):
    """Keeps the bucket of the pictures, in every gateway."""

    @property
    def fault(self) -> str | None:
        """Why the bucket cannot be used now, for operators; None while it can."""

    async def run(self) -> None:
        """Delete what is kept no longer, and look after the bucket, for ever."""


class JobQueue(Protocol):
    """The parts over the same connections."""

    @property
    def submissions(self) -> Submissions: ...

    @property
    def clients(self) -> Clients: ...

    @property
    def cached(self) -> CachedPictures: ...

    @property
    def leases(self) -> Leases: ...

    @property
    def deliveries(self) -> Deliveries: ...

    @property
    def batches(self) -> Batches: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def uploads(self) -> Uploads | None:
        """None where the pictures are in no bucket, or no key signs for it."""

    @property
    def upkeep(self) -> Upkeep | None:
        """None where the pictures are in no bucket."""

    async def close(self) -> None:
        """Close the connections."""
