"""Whether a job can meet its budget at all, by the costs of the fastest worker that is ready."""

from __future__ import annotations

import math
from dataclasses import replace

from jobs.errors import BudgetInfeasible, NotReady
from jobs.job import Job
from models.catalog import Catalog
from scheduling.policy import admit
from scheduling.rungs import Rung, ladder
from scheduling.tiling import Tiling
from scheduling.work import Work, work_of
from service.snapshot import LiveWorker, Snapshot

RETRY_AFTER_S = 2
"""About as long as a worker takes to warm up or to be seen again."""


def admitted(job: Job, snapshot: Snapshot, catalog: Catalog, overhead_ms: float) -> Job:
    """Return the job with its `floor_ms`: the cost of the cheapest way that its caller accepts.

    Raises NotReady without a ready worker that has the model, and BudgetInfeasible with
    `smallest_feasible_ms`, a whole number that would have been enough.
    """
    workers = snapshot.ready_for(job.model)
    if not workers:
        raise NotReady(_why_not_ready(job, snapshot), retry_after_s=RETRY_AFTER_S)
    rungs = ladder(catalog.get(job.model))
    pinned = None if job.pinned_width is None else Rung(job.model, job.pinned_width)
    best = min(
        (
            admit(rungs, w.costs, _work(job, w), job.budget_ms, pinned, job.on_miss, overhead_ms)
            for w in workers
        ),
        key=lambda admission: admission.smallest_ms,
    )
    if not best.feasible:
        smallest = math.ceil(best.smallest_ms)
        raise BudgetInfeasible(
            f"A budget of {job.budget_ms:g} ms is too small for this picture; "
            f"at least {smallest} ms are needed.",
            smallest_feasible_ms=smallest,
        )
    return replace(job, floor_ms=best.smallest_ms - overhead_ms)


def _work(job: Job, worker: LiveWorker) -> Work:
    """Return the work of a job as this worker would cut it."""
    return work_of(job, worker.costs.tilings.get(job.model, Tiling()))


def _why_not_ready(job: Job, snapshot: Snapshot) -> str | None:
    if snapshot.stats is None:
        return "The queue cannot be reached; try again in a few seconds."
    if snapshot.ready:
        return f"No worker serves the model {job.model} at present."
    return None
