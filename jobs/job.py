"""The job vocabulary: what the gateway asks for, what a worker answers, and the states between."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from jobs import budget
from jobs.backlog import Backlog


class JobStatus(StrEnum):
    """Where a job is. Every accepted job ends in exactly one of `TERMINAL_STATUSES`."""

    QUEUED = "queued"
    """Waiting in the queue, or waiting again after its worker was lost."""
    RUNNING = "running"
    """Leased by a worker."""
    SUCCEEDED = "succeeded"
    """The picture is there, until its time to live is over."""
    FAILED = "failed"
    """Ended with an error code."""
    CANCELLED = "cancelled"
    """Withdrawn by the caller, before or during the run."""


TERMINAL_STATUSES = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED})


class OnMiss(StrEnum):
    """What the caller wants when the budget cannot be met."""

    DEGRADE = "degrade"
    """A picture all the same: a resampled one if no network fits, late if nothing does."""
    REJECT = "reject"
    """No picture: the error `deadline_exceeded`."""


class Reason(StrEnum):
    """Why a job ran as it did: one word for header, log line and metric."""

    WIDEST = "widest"
    """The widest network fitted the slack that was left."""
    BACKLOG = "backlog"
    """Narrowed so that the jobs behind it keep their deadlines, or get their share of width."""
    DEMAND = "demand"
    """Narrowed for the jobs that keep coming: so many came while others waited that wider runs
    would leave no time for them."""
    SLACK = "slack"
    """Narrowed to what fitted the slack that was left."""
    BEHIND = "behind"
    """Begun wider and finished narrower, for it had fallen behind its prediction."""
    PINNED = "pinned"
    """The caller asked for this width."""
    FLOOR = "floor"
    """No network fitted; resampled, as on_miss=degrade allows."""


class ImageFormat(StrEnum):
    """The formats that are read and written; values are Pillow's names in lower case."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"

    @property
    def max_side(self) -> int:
        """The longest side in pixels that the format can hold."""
        return _MAX_SIDE[self]


_MAX_SIDE = {
    ImageFormat.PNG: 2**31 - 1,
    ImageFormat.JPEG: 65_500,
    ImageFormat.WEBP: 16_383,
    ImageFormat.AVIF: 65_535,
}


LADDER = "*"
"""What a job needs that leaves the choice of its model to the service."""


def requirement_of(model: str | None, width: float | None = None) -> str:
    """Return what a worker must offer for a job of this model (None: any) and pinned width."""
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
    """1-100 for JPEG, WebP and AVIF; None for the default, and for PNG."""
    model: str | None
    """None to let the service choose among all that it has."""
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
    strength: float = 0.0
    """Assumed compression damage of the picture, from 0 (clean) to 1 (JPEG at quality 30)."""
    traceparent: str | None = None
    """The trace that the job belongs to, as in W3C's header of this name; passed on unread."""

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

    @classmethod
    def of(
        cls, request: JobRequest, *, cheapest_ms: float, narrowest_ms: float, overhead_ms: float
    ) -> Job:
        """Return the job of a request, with its costs as described above."""
        wishes = {field.name: getattr(request, field.name) for field in fields(JobRequest)}
        return cls(
            **wishes, cheapest_ms=cheapest_ms, narrowest_ms=narrowest_ms, overhead_ms=overhead_ms
        )


@dataclass(frozen=True)
class RunFacts:
    """What a worker says of a finished run."""

    model: str
    width: float
    """Fraction of the model's full width, the narrowest that any tile ran at; 0 for the resampling
    floor."""
    reason: Reason
    predicted_ms: float
    """Predicted at the claim, for decoding, network and encoding."""
    run_ms: float
    """Measured from claim to encoded picture."""
    stages_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds of each stage: queue, decode, network, encode; and yielded, for which the
    picture was set aside for more urgent jobs."""
    expected_db: float | None = None
    """The PSNR-Y expected of this model and width for this picture, in dB."""
    strength: float = 0.0
    """How damaged the network was told that the picture is; 0 where it takes no such number."""
    tiles: int = 1
    expected_db_range: tuple[float, float] | None = None
    """Between what two values four of five such pictures come out."""


@dataclass(frozen=True)
class JobView:
    """A job as its caller may see it. Times are milliseconds of the queue's clock."""

    job: Job
    status: JobStatus
    submitted_ms: float
    deadline_ms: float
    finished_ms: float | None = None
    progress: float = 0.0
    """Part of the work done, from 0 to 1."""
    attempt: int = 0
    """How often a worker has claimed it."""
    token: int = 0
    """Of its last claim, which its result is kept under; 0 before the first."""
    facts: RunFacts | None = None
    error_code: str | None = None
    error_detail: str | None = None
    error_details: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def elapsed_ms(self) -> float:
        """Time from the end of the upload to the end of the job; the budget before that."""
        end_ms = self.deadline_ms if self.finished_ms is None else self.finished_ms
        return budget.elapsed_ms(end_ms, self.deadline_ms, self.job.budget_ms)


@dataclass(frozen=True)
class Outcome:
    """What has become of a job."""

    view: JobView
    picture: bytes | None = None
    """Encoded; None where there is none, or none yet."""

    @property
    def ended(self) -> bool:
        return self.view.ended


@dataclass(frozen=True)
class Claim:
    """A job in a worker's hands. `token` fences: a later claim of the same job has a higher one."""

    job: Job
    payload: bytes
    token: int
    attempt: int
    submitted_ms: float
    deadline_ms: float
    backlog: Backlog
    """The queue right after the claim, without this job."""

    @property
    def claimed_ms(self) -> float:
        return self.backlog.now_ms

    @property
    def slack_ms(self) -> float:
        """Time left at the claim until the deadline; negative when late."""
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
    """What a worker hears when it renews its lease."""

    HELD = "held"
    """Go on."""
    CANCELLED = "cancelled"
    """The caller withdrew the job: stop, nothing is to be delivered."""
    LOST = "lost"
    """The lease ran out and the job is another worker's: stop, a result would be refused."""


@dataclass(frozen=True)
class GpuState:
    """The GPU of a worker, over the last moments."""

    load: float | None
    """Part of the time in which it computed; None where it does not say."""
    memory_used_bytes: int
    memory_total_bytes: int


@dataclass(frozen=True)
class MachineState:
    """The machine that a worker runs on, over the last moments. Parts are of all cores' time."""

    cpu_load: float
    """Part in which programs of this machine ran."""
    cpu_steal: float
    """Part that the hypervisor gave to other machines while programs here wanted to run."""
    memory_available_bytes: int
    memory_total_bytes: int
    gpu: GpuState | None = None
    """None where there is none, or none that can be asked."""


@dataclass(frozen=True)
class BackendState:
    """What runs a model in one worker."""

    runtime: str
    precision: str
    """In which the trunk computes."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why others do not that would have been tried first, by their names."""


@dataclass(frozen=True)
class WorkerHeartbeat:
    """What a worker says of itself every second. Gone from the queue when it stops saying it."""

    worker_id: str
    ready: bool
    """Warm: a job sent now runs at once."""
    models: tuple[str, ...]
    costs: dict[str, Any]
    """The worker's cost model, as `scheduling.cost_model` writes it down."""
    busy: bool = False
    machine: MachineState | None = None
    """None where the worker does not know, or does not say."""
    capabilities: tuple[str, ...] = ()
    """What jobs may need of it, as `Job.requirement` names it."""
    broken: dict[str, str] = field(default_factory=dict)
    """Entries of its model folder that it could not load when it last read it, and why."""
    reloads: int = 0
    """The number of the last call to read the models again that it has followed."""
    backends: dict[str, BackendState] = field(default_factory=dict)
    """What runs each model there."""


@dataclass(frozen=True)
class RedisMemory:
    """The memory of one Redis of the queue."""

    holds: str
    """`queue`, or `pictures` where these have a Redis of their own."""
    used_bytes: int
    limit_bytes: int
    """Its `maxmemory`, or all that its machine has when none is set."""


@dataclass(frozen=True)
class QueueHealth:
    """How the queue itself does. Counts are of its whole life, over all gateways and workers."""

    redeliveries: int
    """Jobs that were given to another worker, as theirs was lost."""
    dead_letters: int
    """Jobs that were given up, as too many workers were lost with them."""
    worker_starts: int
    """Worker processes that have come to life."""
    memory: tuple[RedisMemory, ...] = ()
