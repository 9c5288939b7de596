"""Batches: many sources with one set of options, of which each becomes a job."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from jobs.errors import AnysrError, JobCancelled, from_code
from jobs.job import DeliveryView
from jobs.terms import ResultTarget

RECORD_PREFIX = "batch-"
"""A batch's record lies beside those of jobs, so that the same scripts deliver its webhook. No
job's id begins so."""


class BatchStatus(StrEnum):
    """State of a batch."""

    WAITING = "waiting"
    """No gateway has begun it."""
    RUNNING = "running"
    FINISHED = "finished"
    """Each of its sources has ended."""
    CANCELLED = "cancelled"
    """Ended as well, after its caller withdrew what was left."""


class ItemState(StrEnum):
    """State of one source of a batch."""

    WAITING = "waiting"
    RUNNING = "running"
    """Its picture is fetched, or its job is in the queue or with a worker."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (ItemState.WAITING, ItemState.RUNNING)


@dataclass(frozen=True)
class BatchOrder:
    """What a caller asks of a batch, beside its sources."""

    client: str
    """Name of the client whose batch it is; empty where callers have no keys."""
    options: dict[str, str]
    """Parameters of every job, as a query has them."""


@dataclass(frozen=True)
class BatchItem:
    """One source of a batch, and what became of it."""

    image_url: str
    name: str | None = None
    """What its caller calls it."""
    result: ResultTarget | None = None
    """Where its picture is put; None where its caller fetches it."""
    state: ItemState = ItemState.WAITING
    error_code: str | None = None
    error_detail: str | None = None
    error_details: dict[str, Any] = field(default_factory=dict)

    def moved(self, state: ItemState, error: AnysrError | None = None) -> BatchItem:
        """Return this source in another state, with the error that it failed with."""
        if error is None:
            return replace(self, state=state)
        return replace(
            self,
            state=state,
            error_code=error.code,
            error_detail=error.detail,
            error_details=error.details,
        )

    @property
    def error(self) -> AnysrError | None:
        """Why there is no picture; None if there is one, or may be yet."""
        if self.state is ItemState.CANCELLED:
            return JobCancelled()
        if self.state is ItemState.FAILED:
            return from_code(self.error_code or "", self.error_detail, **self.error_details)
        return None


@dataclass(frozen=True)
class NewBatch:
    """A batch before it is kept."""

    id: str
    order: BatchOrder
    items: tuple[BatchItem, ...]
    """At least one."""


@dataclass(frozen=True)
class BatchView:
    """State of a batch. Times are milliseconds of the queue's clock."""

    id: str
    order: BatchOrder
    status: BatchStatus
    counts: Mapping[ItemState, int]
    """Number of its sources in each state."""
    created_ms: float
    started_ms: float | None = None
    finished_ms: float | None = None
    cancelling: bool = False
    """Whether what is left is withdrawn."""
    webhook: DeliveryView | None = None
    destination: None = None
    """Pictures are put somewhere by jobs."""

    @property
    def ended(self) -> bool:
        return self.status in (BatchStatus.FINISHED, BatchStatus.CANCELLED)

    @property
    def total(self) -> int:
        """Number of its sources."""
        return sum(self.counts.values())

    @property
    def progress(self) -> float:
        """Part of its sources that has ended, from 0 to 1."""
        done = sum(count for state, count in self.counts.items() if state.ended)
        return done / max(1, self.total)


def record_name(batch_id: str) -> str:
    """Return the name of a batch among the records of jobs."""
    return RECORD_PREFIX + batch_id


def item_job_id(batch_id: str, index: int) -> str:
    """Return the id of the job of a source. It is the same whoever submits it, and the queue takes
    a job of an id once: so no source is made twice."""
    return hashlib.sha256(f"{batch_id}:{index}".encode()).hexdigest()[:32]
