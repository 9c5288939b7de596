"""Answer of the routes that return a job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, WithJsonSchema

from jobs.errors import AnysrError, RemoteRefused, from_code
from jobs.job import TERMINAL_STATUSES, DeliveryView, JobStatus, JobView, Reason, RunFacts
from service.openapi import PROBLEM
from service.problems import problem

Problem = Annotated[dict[str, Any], WithJsonSchema(PROBLEM)]


class Run(BaseModel):
    """The run of a job. Times are milliseconds."""

    model: str = Field(examples=["anysr-m"])
    width: float = Field(description="0 for plain resampling.", examples=[0.5])
    reason: Reason
    predicted_ms: float
    run_ms: float = Field(description="Measured from the claim to the encoded picture.")
    stages_ms: dict[str, float]
    expected_db: float | None = Field(
        description="Expected PSNR-Y of this picture, in dB; null where it is not known."
    )
    expected_db_range: tuple[float, float] | None = Field(
        description="Interval that holds four of five such pictures, in dB."
    )
    strength: float = Field(description="How much compression damage was cleaned up, 0 to 1.")
    tiles: int
    converted: bool = Field(
        description="Whether colours were converted, because the output could not state them."
    )


class JobLinks(BaseModel):
    """Addresses of a job's resources."""

    self: str
    result: str
    events: str


class WebhookAnswer(BaseModel):
    """The webhook of a job. Times are milliseconds of the queue's clock."""

    host: str
    attempts: int
    last_answer: str | None = Field(
        description="HTTP status, or code of the error, of the last attempt.", examples=["503"]
    )
    next_attempt_ms: float | None = Field(
        description="Null before the job's end, and once nothing is tried any more."
    )
    delivered_ms: float | None
    given_up_ms: float | None


class DestinationState(StrEnum):
    """How it stands with a picture that is put somewhere."""

    WAITING = "waiting"
    """For the job's end, or for the next attempt."""
    STORED = "stored"
    GIVEN_UP = "given_up"
    """It may still be fetched from `links.result`, unless it has expired."""
    NO_PICTURE = "no_picture"
    """The job ended without one."""


class DestinationAnswer(BaseModel):
    """Where the picture of a job is put. Times are milliseconds of the queue's clock."""

    place: str = Field(
        description="`s3://bucket/key`, or scheme and host of `result_url`.",
        examples=["s3://pictures/out/a.png"],
    )
    state: DestinationState
    attempts: int
    error: Problem | None = Field(description="A problem, if the last attempt has failed.")
    next_attempt_ms: float | None = Field(
        description="Null before the job's end, and once nothing is tried any more."
    )
    stored_ms: float | None
    given_up_ms: float | None


class JobAnswer(BaseModel):
    """A job as its caller sees it. Times are milliseconds of the queue's clock."""

    id: str
    status: JobStatus
    progress: float = Field(ge=0, le=1)
    submitted_ms: float
    deadline_ms: float
    finished_ms: float | None
    output_width: int
    output_height: int
    run: Run | None = Field(description="The run; null until it has ended.")
    error: Problem | None = Field(description="A problem, if the job has failed.")
    webhook: WebhookAnswer | None = Field(description="Null without `webhook_url`.")
    destination: DestinationAnswer | None = Field(
        description="Null without `result` or `result_url`."
    )
    links: JobLinks


def job_answer(view: JobView, root_path: str = "") -> JobAnswer:
    """Return the answer for a job; `root_path` is the prefix of its links."""
    job = view.job
    here = f"{root_path}/jobs/{job.id}"
    failed = view.status in TERMINAL_STATUSES - {JobStatus.SUCCEEDED}
    return JobAnswer(
        id=job.id,
        status=view.status,
        progress=min(max(view.progress, 0.0), 1.0),
        submitted_ms=view.submitted_ms,
        deadline_ms=view.deadline_ms,
        finished_ms=view.finished_ms,
        output_width=job.output_width,
        output_height=job.output_height,
        run=None if view.facts is None else _run(view.facts),
        error=problem(view.error, job.id) if failed else None,
        webhook=None if view.webhook is None else webhook_answer(view.webhook),
        destination=None if view.destination is None else _destination(view, view.destination),
        links=JobLinks(self=here, result=f"{here}/result", events=f"{here}/events"),
    )


def webhook_answer(webhook: DeliveryView) -> WebhookAnswer:
    """Return the answer for a webhook. Its URL may hold a secret of the receiver."""
    return WebhookAnswer(
        host=webhook.host,
        attempts=webhook.attempts,
        last_answer=webhook.answer,
        next_attempt_ms=webhook.due_ms,
        delivered_ms=webhook.delivered_ms,
        given_up_ms=webhook.dead_ms,
    )


def _destination(view: JobView, stands: DeliveryView) -> DestinationAnswer:
    failed = stands.answer is not None and stands.delivered_ms is None
    return DestinationAnswer(
        place=stands.to,
        state=_state(view, stands),
        attempts=stands.attempts,
        error=problem(_error_of(stands.answer or ""), view.job.id) if failed else None,
        next_attempt_ms=stands.due_ms,
        stored_ms=stands.delivered_ms,
        given_up_ms=stands.dead_ms,
    )


def _state(view: JobView, stands: DeliveryView) -> DestinationState:
    if stands.delivered_ms is not None:
        return DestinationState.STORED
    if stands.dead_ms is not None:
        return DestinationState.GIVEN_UP
    if view.ended and view.status is not JobStatus.SUCCEEDED:
        return DestinationState.NO_PICTURE
    return DestinationState.WAITING


def _error_of(answer: str) -> AnysrError:
    """Return the error of an attempt: that of its code, or of a status of HTTP."""
    if not answer.isdecimal():
        return from_code(answer)
    return RemoteRefused(f"The host answered with status {answer}.", remote_status=int(answer))


def _run(facts: RunFacts) -> Run:
    return Run(
        model=facts.model,
        width=facts.width,
        reason=facts.reason,
        predicted_ms=facts.predicted_ms,
        run_ms=facts.run_ms,
        stages_ms=facts.stages_ms,
        expected_db=facts.expected_db,
        expected_db_range=facts.expected_db_range,
        strength=facts.strength,
        tiles=facts.tiles,
        converted=facts.converted,
    )
