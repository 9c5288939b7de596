"""What the service answers in JSON: jobs, batches, estimates and models. Times are milliseconds
unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from anysr_client.errors import AnysrError, error_of_problem

Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[Status] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Place:
    """Where a picture is to be written, once."""

    id: str
    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str]
    """What the request must have."""


@dataclass(frozen=True)
class Run:
    """How a job was run."""

    model: str
    """`lanczos` for plain resampling."""
    width: float
    """0 for plain resampling."""
    reason: str
    predicted_ms: float
    run_ms: float
    """From the claim to the encoded picture."""
    stages_ms: Mapping[str, float]
    expected_db: float | None
    """Expected PSNR-Y in dB, where it is known."""
    expected_db_range: tuple[float, float] | None
    """Interval that holds four of five such pictures."""
    strength: float
    tiles: int
    converted: bool
    """Whether colours were converted, because the output could not state them."""


@dataclass(frozen=True)
class Webhook:
    """How the end of a job is announced. Times are those of the queue's clock."""

    host: str
    attempts: int
    last_answer: str | None
    """HTTP status, or code of the error, of the last attempt."""
    next_attempt_ms: float | None
    delivered_ms: float | None
    given_up_ms: float | None


@dataclass(frozen=True)
class Destination:
    """Where the picture of a job is put. Times are those of the queue's clock."""

    place: str
    """`s3://bucket/key`, or scheme and host of `result_url`."""
    state: Literal["waiting", "stored", "given_up", "no_picture"]
    attempts: int
    error: Mapping[str, Any] | None
    """The problem of the last attempt, if that has failed."""
    next_attempt_ms: float | None
    stored_ms: float | None
    given_up_ms: float | None


@dataclass(frozen=True)
class JobState:
    """A job at one moment. Its times are those of the queue's clock."""

    id: str
    status: Status
    progress: float
    """From 0 to 1."""
    submitted_ms: float
    deadline_ms: float
    finished_ms: float | None
    output_width: int
    output_height: int
    run: Run | None = None
    """None until it has ended."""
    error: Mapping[str, Any] | None = None
    """The problem with which it has failed or was cancelled."""
    webhook: Webhook | None = None
    """None without `webhook_url`."""
    destination: Destination | None = None
    """None without `result` and `result_url`."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED

    @property
    def failure(self) -> AnysrError | None:
        """The same as an exception, which the job's result would raise."""
        return None if self.error is None else error_of_problem(self.error, self.error["status"])


BatchStatus = Literal["waiting", "running", "finished", "cancelled"]
SourceStatus = Literal["waiting", "running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class BatchState:
    """A batch at one moment. Its times are those of the queue's clock."""

    id: str
    status: BatchStatus
    progress: float
    """Part of its sources that has ended, from 0 to 1."""
    counts: Mapping[str, int]
    """Number of its sources in each state."""
    total: int
    created_ms: float
    started_ms: float | None
    finished_ms: float | None
    options: Mapping[str, str]
    webhook: Webhook | None = None
    """None without `webhook_url`."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ("finished", "cancelled")


@dataclass(frozen=True)
class SourceState:
    """One source of a batch at one moment."""

    index: int
    """Its place in the batch, from 0."""
    image_url: str
    name: str | None
    state: SourceStatus
    job_id: str | None
    """None before it has begun."""
    error: Mapping[str, Any] | None
    """The problem for which there will be no picture."""
    place: str | None = None
    """Where its picture is put; its job tells whether it is there."""

    @property
    def begun_job_id(self) -> str:
        """The id of its job. Raises ValueError before it has begun."""
        if self.job_id is None:
            raise ValueError(f"source {self.index} has not begun")
        return self.job_id

    @property
    def failure(self) -> AnysrError | None:
        """The same as an exception."""
        return None if self.error is None else error_of_problem(self.error, self.error["status"])


@dataclass(frozen=True)
class SourcesPage:
    """Some sources of a batch."""

    items: tuple[SourceState, ...]
    next_cursor: int | None


@dataclass(frozen=True)
class Rung:
    """One option for a picture."""

    model: str
    width: float
    expected_ms: float
    safe_ms: float
    """Forty-nine of fifty such runs stay below."""
    budget_ms: float
    """Smallest budget with which an idle service can choose it."""
    expected_db: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Options and budgets for a picture."""

    rungs: tuple[Rung, ...]
    """Cheapest first, each better than all before it."""
    wait_ms: float
    """Time until its run would begin if it were sent now."""
    smallest_budget_ms: float
    default_budget_ms: float
    output_width: int
    output_height: int


@dataclass(frozen=True)
class Model:
    """One model of the service."""

    name: str
    description: str
    licence: str
    default: bool
    min_scale: float
    max_scale: float
    widths: tuple[float, ...]
    """Narrowest first."""
    ready: bool
    """Whether a worker has it warm."""
    on_demand: bool
    in_ladder: bool
    """Whether the service chooses it by itself."""
    takes_strength: bool
    fixed_scale: int | None = None
    backends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One image format."""

    name: str
    label: str
    media_type: str
    suffixes: tuple[str, ...]
    written_as: str
    """The format of a result where none is asked for: itself, unless it is only read."""
    max_side: int
    lossy: bool
    lossless: bool
    transparency: bool


@dataclass(frozen=True)
class Limits:
    """Limits of the service."""

    max_body_bytes: int
    max_source_pixels: int
    max_output_pixels: int
    max_budget_ms: float
    formats: tuple[Format, ...]


@dataclass(frozen=True)
class Models:
    """The models of the service, and its limits."""

    default: str
    models: tuple[Model, ...]
    untrained: tuple[str, ...]
    limits: Limits
