"""Answers of the health routes and of POST /admin/reload."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

from jobs.backlog import QueueStats
from jobs.heartbeat import BackendState, MachineState
from service.catalog_store import CatalogStore
from service.snapshot import LiveWorker, Snapshot


class WorkerAnswer(BaseModel):
    """One live worker."""

    id: str
    ready: bool
    busy: bool
    models: list[str]
    pace: float = Field(
        description="Recent network time over the calibrated one, for runs that have the "
        "machine to themselves; above 1 the worker has become slower."
    )
    costs_disturbed: bool = Field(
        description="Whether other processes used the machine while costs were measured: promises "
        "may be off until they are measured again, when the worker is idle."
    )
    reloads: int = Field(description="Number of the last reload request that it has followed.")
    broken: dict[str, str] = Field(
        description="Entries of its model folder that it could not load, with the reason."
    )
    backends: dict[str, BackendState] = Field(
        description="The backend of each model: the fastest of its runtimes and precisions that "
        "makes the right picture; `refused` has the reasons against the others."
    )
    machine: MachineState | None = Field(
        description="The worker's machine over the last second; ratios are from 0 to 1."
    )


class QueueAnswer(BaseModel):
    """The queue at the last snapshot."""

    queued: int
    running: int
    oldest_age_ms: float
    backlog_ms: float


class CatalogAnswer(BaseModel):
    """State of the gateway's own catalog."""

    reloads: int = Field(description="Number of the last reload request that it has followed.")
    broken: dict[str, str] = Field(description="Entries that it could not read, with the reason.")


class ReloadAnswer(BaseModel):
    """A reload request to all gateways and workers."""

    reloads: int = Field(
        description="Number of the request; /health/ready shows which processes have followed it."
    )


class ReadyAnswer(BaseModel):
    """State of a service that accepts jobs."""

    status: str = "ready"
    snapshot_age_ms: float | None = Field(
        description="Age of the gateway's snapshot of workers and queue; null before the first."
    )
    workers: list[WorkerAnswer]
    queue: QueueAnswer | None = Field(description="null while the queue cannot be reached.")
    catalog: CatalogAnswer


class StatusAnswer(BaseModel):
    """A service that accepts jobs, without its state."""

    status: str = "ready"


class LiveAnswer(BaseModel):
    """State of a process that runs."""

    status: str = "live"


def ready_answer(snapshot: Snapshot, age_s: float, catalogs: CatalogStore) -> ReadyAnswer:
    """Return the answer for a snapshot, its age in seconds and the gateway's catalog."""
    return ReadyAnswer(
        snapshot_age_ms=round(age_s * 1e3, 1) if math.isfinite(age_s) else None,
        workers=[_worker(worker) for worker in snapshot.workers],
        queue=_queue(snapshot.stats),
        catalog=CatalogAnswer(reloads=catalogs.reloads, broken=dict(catalogs.broken)),
    )


def _worker(worker: LiveWorker) -> WorkerAnswer:
    heartbeat = worker.heartbeat
    return WorkerAnswer(
        id=heartbeat.worker_id,
        ready=heartbeat.ready,
        busy=heartbeat.busy,
        models=list(heartbeat.models),
        pace=round(worker.slowdown, 3),
        costs_disturbed=bool(worker.costs.disturbed),
        reloads=heartbeat.reloads,
        broken=heartbeat.broken,
        backends=heartbeat.backends,
        machine=heartbeat.machine,
    )


def _queue(stats: QueueStats | None) -> QueueAnswer | None:
    if stats is None:
        return None
    return QueueAnswer(
        queued=stats.queued,
        running=stats.running,
        oldest_age_ms=stats.oldest_age_ms,
        backlog_ms=stats.backlog_ms,
    )
