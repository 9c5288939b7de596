"""The job vocabulary: the gateway's request, the worker's answer, and the states in between."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from jobs import budget
from jobs.backlog import Backlog
from jobs.errors import AnysrError, JobCancelled, JobNotFinished, from_code
from jobs.formats import ImageFormat


class JobStatus(StrEnum):
    """State of a job. Every accepted job ends in exactly one of `TERMINAL_STATUSES`."""

    QUEUED = "queued"
    """Waiting in the queue, or waiting again after its worker was lost."""
    RUNNING = "running"
    """Leased by a worker."""
    SUCCEEDED = "succeeded"
    """The result is available until it expires."""
    FAILED = "failed"
    """Ended with an error."""
    CANCELLED = "cancelled"
    """Withdrawn by the caller, before or during the run."""


TERMINAL_STATUSES = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class OnMiss(StrEnum):
    """What to do when the budget cannot be met."""

    DEGRADE = "degrade"
    """Return a picture anyway: resampled if no network fits, late if not even that does."""
    REJECT = "reject"
    """Return no picture, but the error `deadline_exceeded`."""


class MetadataChoice(StrEnum):
    """What a picture takes over of its file's metadata. The colour profile is always kept."""

    KEEP = "keep"
    """All that the format holds and that is true of the larger picture."""
    COPYRIGHT = "copyright"
    """Author, copyright, licence and resolution: neither place nor time, camera or description."""
    NONE = "none"
    """Nothing."""


class Reason(StrEnum):
    """Why a job ran as it did: one word for header, log line and metric."""

    WIDEST = "widest"
    """The widest network fitted the slack that was left."""
    BACKLOG = "backlog"
    """Narrowed so that the jobs behind it meet their deadlines, or get their share of width."""
    DEMAND = "demand"
    """Narrowed for the jobs that keep coming: at their rate, wider runs would leave no time for
    them."""
    SLACK = "slack"
    """Narrowed to what fitted the slack that was left."""
    BEHIND = "behind"
    """Started wider and finished narrower, by the cheapest network or by resampling, because the
    run fell behind its prediction."""
    PINNED = "pinned"
    """The caller asked for this width."""
    FLOOR = "floor"
    """No network fitted; resampled, as on_miss=degrade allows."""


WHITE = "ffffff"
LADDER = "*"
"""The requirement of a job that leaves the choice of its model to the service."""


SMALL_FOOTPRINT = 1 << 19
"""Most `JobRequest.footprint` of a small job, which a worker may run while it decodes or encodes
another picture: half a megapixel, so that its memory is bounded
(`workers.memory.CONCURRENT_JOB_BYTES`)."""
FOOTPRINT_OF_A_SIDE = 16
"""Pixels that weigh as much as one more row or column: resampling keeps weights for each."""


def requirement_of(model: str | None, width: float | None = None) -> str:
    """Return the capability that a job of this model (None: any) and pinned width requires."""
    if model is None:
        return LADDER
    return model if width is None else f"{model}@{width:g}"


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What the caller wants and what the picture is. Sizes are in pixels after the EXIF orientation
    is applied."""

    id: str
    source_width: int
    source_height: int
    output_width: int
    output_height: int
    output_format: ImageFormat
    quality: int | None
    """From 1 to 100; None for the format's default, or for a picture compressed without loss."""
    model: str | None
    """None to let the service choose among all models."""
    pinned_width: float | None
    """A width of the model, as a fraction of its full one; None to let the service choose."""
    on_miss: OnMiss
    budget_ms: float
    """Milliseconds from the end of the upload to the complete answer."""
    min_db: float | None = None
    """The lowest PSNR-Y, expected for this picture, that the caller accepts; None for any."""
    min_width: float | None = None
    """The smallest width that the caller accepts, as a fraction of any model's full one; None for
    any. With one, no picture is resampled."""
    metadata: MetadataChoice = MetadataChoice.COPYRIGHT
    lossless: bool = False
    """Whether a format that can store pictures with and without loss does it without."""
    frame: int | None = None
    """Which frame of an animated picture, or page of a file, counted from 0; None for the only
    frame, and for the first page."""
    background: str = WHITE
    """What transparency is flattened on where the output has none: RRGGBB in hexadecimal."""
    strength: float = 0.0
    """Assumed compression damage of the picture, from 0 (clean) to 1 (JPEG at quality 30)."""
    client: str | None = None
    """Name of the client that the job belongs to, alone of all with a key; None without keys."""
    share: int = 1
    """Weight of the client against others under load."""
    source_format: ImageFormat | None = None
    """None in records of earlier versions."""
    source_bytes: int | None = None
    """Of the picture's file; None for a picture that is described and not sent, and in records of
    earlier versions."""
    traceparent: str | None = None
    """The trace that the job belongs to, as in W3C's header of this name; passed on unread."""

    @property
    def footprint(self) -> int:
        """Pixels that bound the memory of the job: of source and output, and of their sides."""
        sides = self.source_width + self.source_height + self.output_width + self.output_height
        pixels = self.source_width * self.source_height + self.output_width * self.output_height
        return pixels + FOOTPRINT_OF_A_SIDE * sides

    @property
    def small(self) -> bool:
        """Whether the job may run beside another one in the same worker."""
        return self.footprint <= SMALL_FOOTPRINT

    @property
    def requirement(self) -> str:
        """The capability that a worker must have to run this job."""
        return requirement_of(self.model, self.pinned_width)

    def is_late(self, elapsed_ms: float) -> bool:
        """Return whether the budget is exceeded `elapsed_ms` after the end of the upload."""
        return budget.is_late(elapsed_ms, self.budget_ms)

    def is_rejected(self, elapsed_ms: float) -> bool:
        """Return whether the picture is late by then and the caller takes no late one."""
        return self.on_miss is OnMiss.REJECT and self.is_late(elapsed_ms)

    @property
    def scale_h(self) -> float:
        return self.output_height / self.source_height

    @property
    def scale_w(self) -> float:
        return self.output_width / self.source_width


@dataclass(frozen=True, kw_only=True)
class Job(JobRequest):
    """A request that was admitted, with its predicted costs in ms."""

    cheapest_ms: float
    """Cost of the cheapest way to make the picture, with a margin: orders the queue."""
    narrowest_ms: float
    """Cost of its narrowest network, by which worker time is shared out."""
    overhead_ms: float
    """Time that the gateway needs from the end of a run to its answer: a run should end so long
    before the deadline."""
    source_digest: str | None = field(default=None, compare=False)
    """Of the picture's file (`jobs.digests`), by which the worker knows that it has the same one;
    None before it is submitted, and in records of earlier versions."""

    @classmethod
    def of(
        cls, request: JobRequest, *, cheapest_ms: float, narrowest_ms: float, overhead_ms: float
    ) -> Job:
        """Return the job of a request with these predicted costs, in ms."""
        wishes = {field.name: getattr(request, field.name) for field in fields(JobRequest)}
        return cls(
            **wishes, cheapest_ms=cheapest_ms, narrowest_ms=narrowest_ms, overhead_ms=overhead_ms
        )


@dataclass(frozen=True)
class RunFacts:
    """A worker's report on a finished run."""

    model: str
    width: float
    """Fraction of the model's full width: the narrowest that any tile ran at; 0 for the resampling
    floor."""
    reason: Reason
    predicted_ms: float
    """Predicted at the claim for decoding, network and encoding."""
    run_ms: float
    """Measured from the claim to the encoded picture."""
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds of each stage: queue, decode, network, encode; load, if the network had to be
    loaded after a rest; and yielded, the time that the run was suspended for more urgent jobs."""
    expected_db: float | None = None
    """The PSNR-Y expected of this model and width for this picture, in dB."""
    strength: float = 0.0
    """Compression damage passed to the network, from 0 to 1; 0 for a network without that input."""
    tiles: int = 1
    expected_db_range: tuple[float, float] | None = None
    """Interval in dB that holds four of five such pictures."""
    converted: bool = False
    """Whether the colours were converted, because the output could not state them."""
    fingerprint: str | None = None
    """That of the model that ran (`models.catalog.ModelEntry.fingerprint`); None for plain
    resampling."""
    picture_digest: str | None = field(default=None, compare=False)
    """Of the encoded picture (`jobs.digests`), by which the gateway knows that it has the same one;
    None before it is delivered, and in records of earlier versions."""


class DeliveryKind(StrEnum):
    """What a gateway delivers for a job after its end."""

    RESULT = "result"
    """The picture, to where the caller wants it."""
    WEBHOOK = "webhook"
    """The announcement of the end; after the picture, if there are both."""


@dataclass(frozen=True)
class DeliveryView:
    """A delivery as it stands. Times are milliseconds of the queue's clock."""

    to: str
    """The webhook's URL, or the picture's place (`ResultTarget.place`)."""
    host: str
    attempts: int = 0
    answer: str | None = None
    """Status of HTTP, or code of the error, of the last attempt."""
    due_ms: float | None = None
    """When it is tried next; None before its turn, and once nothing is tried any more."""
    delivered_ms: float | None = None
    dead_ms: float | None = None
    """When it was given up."""


@dataclass(frozen=True)
class JobView:
    """State of a job as its caller may see it. Times are milliseconds of the queue's clock."""

    job: Job
    status: JobStatus
    submitted_ms: float
    deadline_ms: float
    finished_ms: float | None = None
    progress: float = 0.0
    """Fraction of the work that is done, from 0 to 1."""
    attempt: int = 0
    """Number of claims so far."""
    token: int = 0
    """Token of the last claim, under which the result is stored; 0 before the first."""
    facts: RunFacts | None = None
    error_code: str | None = None
    error_detail: str | None = None
    error_details: dict[str, Any] = field(default_factory=dict)
    webhook: DeliveryView | None = None
    destination: DeliveryView | None = None
    """Where the picture is put."""

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def error(self) -> AnysrError:
        """The reason why the job has no result: its own error, JobCancelled or JobNotFinished."""
        if self.status is JobStatus.CANCELLED:
            return JobCancelled()
        if self.status is JobStatus.FAILED:
            return from_code(self.error_code or "", self.error_detail, **self.error_details)
        return JobNotFinished()

    @property
    def picture_digest(self) -> str | None:
        """Digest of the encoded picture; None where there is none."""
        return None if self.facts is None else self.facts.picture_digest

    @property
    def elapsed_ms(self) -> float:
        """Time from the end of the upload to the end of the job; the budget before that."""
        end_ms = self.deadline_ms if self.finished_ms is None else self.finished_ms
        return budget.elapsed_ms(end_ms, self.deadline_ms, self.job.budget_ms)


@dataclass(frozen=True)
class Outcome:
    """A job with its picture."""

    view: JobView
    picture: bytes | None = None
    """Encoded; None without a result, and where it was not read along with the job."""

    @property
    def ended(self) -> bool:
        return self.view.ended


@dataclass(frozen=True)
class Claim:
    """A job leased by a worker. `token` fences: a later claim of the same job has a higher one."""

    job: Job
    payload: bytes
    token: int
    attempt: int
    submitted_ms: float
    deadline_ms: float
    backlog: Backlog
    """The queue right after the claim, without this job."""
    handed_over: bool = False
    """Whether the queue handed the job to a worker that waited: it renews the lease at once, to
    show that it is awake, because its lease is short before."""

    @property
    def claimed_ms(self) -> float:
        return self.backlog.now_ms

    @property
    def slack_ms(self) -> float:
        """Time left until the deadline at the claim; negative when late."""
        return self.deadline_ms - self.claimed_ms

    @property
    def run_slack_ms(self) -> float:
        """Time left for the run after subtracting the gateway's overhead; negative when late."""
        return budget.run_slack_ms(self.slack_ms, self.job.overhead_ms)

    def elapsed_ms(self, run_ms: float) -> float:
        """Return the time from the end of the upload to `run_ms` after the claim."""
        now_ms = self.claimed_ms + run_ms
        return budget.elapsed_ms(now_ms, self.deadline_ms, self.job.budget_ms)


class LeaseState(StrEnum):
    """Answer to a worker that renews its lease."""

    HELD = "held"
    """Continue."""
    CANCELLED = "cancelled"
    """The caller withdrew the job: stop, there is nothing to deliver."""
    LOST = "lost"
    """The lease expired and the job is another worker's: stop, a result would be refused."""
