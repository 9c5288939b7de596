"""Answers of the routes that return a batch or its sources."""

from __future__ import annotations

from pydantic import BaseModel, Field

from jobs.batch import BatchItem, BatchStatus, BatchView, ItemState, item_job_id
from service.answers.job import Problem, WebhookAnswer, webhook_answer
from service.problems import problem


class BatchCounts(BaseModel):
    """Number of a batch's sources in each state."""

    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int


class BatchLinks(BaseModel):
    """Addresses of a batch's resources."""

    self: str
    items: str
    events: str


class BatchAnswer(BaseModel):
    """A batch as its caller sees it. Times are milliseconds of the queue's clock."""

    id: str
    status: BatchStatus
    progress: float = Field(ge=0, le=1, description="Part of the sources that has ended.")
    counts: BatchCounts
    total: int
    created_ms: float
    started_ms: float | None
    finished_ms: float | None
    options: dict[str, str] = Field(description="The options, as the text of a query.")
    webhook: WebhookAnswer | None = Field(description="Null without `webhook_url`.")
    links: BatchLinks


class BatchItemLinks(BaseModel):
    """Addresses of a source's job."""

    job: str
    result: str | None = Field(description="Null without a picture.")


class BatchItemAnswer(BaseModel):
    """One source of a batch."""

    index: int
    image_url: str
    name: str | None
    place: str | None = Field(
        description="Where its picture is put: `s3://bucket/key`, or scheme and host of "
        "`result_url`. Its job tells whether it is there. Null without either."
    )
    state: ItemState
    job_id: str | None = Field(description="Null before the source has begun.")
    error: Problem | None = Field(description="A problem, if there will be no picture.")
    links: BatchItemLinks | None = Field(description="Null before the source has begun.")


class BatchItemsAnswer(BaseModel):
    """A page of a batch's sources, in the order of its request."""

    items: list[BatchItemAnswer]
    next_cursor: int | None = Field(description="`cursor` of the next page; null after the last.")


def batch_answer(view: BatchView, root_path: str = "") -> BatchAnswer:
    """Return the answer for a batch; `root_path` is the prefix of its links."""
    here = f"{root_path}/batches/{view.id}"
    return BatchAnswer(
        id=view.id,
        status=view.status,
        progress=view.progress,
        counts=BatchCounts(**{state.value: count for state, count in view.counts.items()}),
        total=view.total,
        created_ms=view.created_ms,
        started_ms=view.started_ms,
        finished_ms=view.finished_ms,
        options=view.order.options,
        webhook=None if view.webhook is None else webhook_answer(view.webhook),
        links=BatchLinks(self=here, items=f"{here}/items", events=f"{here}/events"),
    )


def item_answer(batch_id: str, index: int, item: BatchItem, root_path: str = "") -> BatchItemAnswer:
    """Return the answer for the source at an index."""
    job_id = item_job_id(batch_id, index)
    begun = item.state is not ItemState.WAITING
    job = f"{root_path}/jobs/{job_id}"
    succeeded = item.state is ItemState.SUCCEEDED
    return BatchItemAnswer(
        index=index,
        image_url=item.image_url,
        name=item.name,
        place=None if item.result is None else item.result.place,
        state=item.state,
        job_id=job_id if begun else None,
        error=None if item.error is None else problem(item.error, job_id),
        links=BatchItemLinks(job=job, result=f"{job}/result" if succeeded else None)
        if begun
        else None,
    )
