"""The job vocabulary: what the gateway asks for, what a worker answers, and the states between."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jobs.formats import ImageFormat


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


LADDER = "*"
"""What a job needs that leaves the choice of its model to the service."""


def requirement_of(model: str | None, width: float | None = None) -> str:
    """Return what a worker must offer for a job of this model (None: any) and pinned width."""
    if model is None:
        return LADDER
    return model if width is None else f"{model}@{width:g}"


@dataclass(frozen=True)
class Job:
    """One picture to be made. Sizes are in pixels after the EXIF orientation is applied."""

    id: str
    source_width: int
    source_height: int
    output_width: int
    output_height: int
    output_format: ImageFormat
    quality: int | None
    """From 1 to 100; None for the format's default, and for a lossless format."""
    model: str | None
    """None to let the service choose among all that it has."""
    pinned_width: float | None
    """A width of the model, as a fraction of its full one; None to let the service choose."""
    on_miss: OnMiss
    budget_ms: float
    cheapest_ms: float
    """Predicted cost of the cheapest way to make the picture: orders the queue."""
    network_ms: float = 0.0
    """Predicted cost of its narrowest network, by which worker time is shared out."""
    overhead_ms: float = 0.0
    """What the gateway needs from the end of a run to its answer: so long before the deadline a run
    should end."""
    min_db: float | None = None
    """The least PSNR-Y, expected for this picture, that the caller takes; None for any."""
    min_width: float | None = None
    """The least width that the caller takes, as a fraction of any model's full one; None for any,
    and with one no picture is resampled."""
    strength: float = 0.0
    """How damaged the picture is taken to be, from 0 (clean) to 1 (JPEG at quality 30)."""
    traceparent: str | None = None
    """The trace that the job belongs to, as W3C's header of this name; handed on unread."""

    @property
    def requirement(self) -> str:
        """What a worker must offer to be given this job."""
        return requirement_of(self.model, self.pinned_width)

    @property
    def scale_h(self) -> float:
        return self.output_height / self.source_height

    @property
    def scale_w(self) -> float:
        return self.output_width / self.source_width


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
class Backlog:
    """What waits and what runs at one moment of the queue's clock; all times in its ms."""

    now_ms: float
    waiting: tuple[tuple[float, float, float], ...] = ()
    """(latest start, sum of predicted cheapest costs, sum of predicted costs of the narrowest
    networks) of groups of jobs that must start at nearly the same time, earliest first. A group is
    dated by the earliest time that it may hold, so what is feasible for it is feasible for its
    jobs; the last may hold all that comes after the others.
    """
    running: tuple[float, ...] = ()
    """The predicted end of each run in progress, earliest first; one that takes longer than was
    predicted has its end in the past."""
    inflow: float = 0.0
    """Narrowest-network ms that come per ms while others wait, of late."""
    inflow_slack_ms: float = math.inf
    """For how long that work can wait, in the mean that counts the short ones most."""


@dataclass(frozen=True)
class Claim:
    """A job in a worker's hands. `token` fences: a later claim of the same job has a higher one."""

    job: Job
    payload: bytes
    token: int
    attempt: int
    submitted_ms: float
    deadline_ms: float
    claimed_ms: float
    backlog: Backlog | None = None
    """The queue right after the claim, without this job."""

    @property
    def slack_ms(self) -> float:
        """Time left at the claim until the deadline; negative when late."""
        return self.deadline_ms - self.claimed_ms

    @property
    def run_slack_ms(self) -> float:
        """What of it a run may take, so that its answer is in time."""
        return self.slack_ms - self.job.overhead_ms


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
class QueueStats:
    """The queue at one moment of its own clock."""

    queued: int
    running: int
    oldest_age_ms: float
    backlog_ms: float
    """Sum of the predicted cheapest costs of what is queued."""
    backlog: Backlog | None = None
    overdue_ms: float = 0.0
    """How long ago the most urgent that waits had to start at the latest; 0 while it can wait."""


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
