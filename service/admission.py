"""Admission at the gateway: whether an idle service could meet a job's budget, by the costs of its
ready workers. The queue refuses what the backlog leaves no time for (`jobs/lua/submit.lua`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from jobs.errors import (
    BudgetInfeasible,
    InvalidRequest,
    NotReady,
    Overloaded,
    ShareExceeded,
    UnknownModel,
)
from jobs.job import LADDER, Job, JobRequest
from jobs.outages import UNREACHABLE
from models.catalog import Catalog
from scheduling.load import Load
from scheduling.options import Option, narrowest_network, options_of
from scheduling.policy import Admission, admit
from service.default_budgets import DefaultBudget, default_budget_ms, good_option, wait_within
from service.snapshot import LiveWorker, Snapshot

NOT_READY_RETRY_S = 2
"""Retry-After of a service without ready workers: about the time of a warm-up."""

LOADING_RETRY_S = 5
"""Retry-After while a model is loaded on demand: about the time to load and to measure it."""

PROMISE = 1.1
"""Headroom of 10 % in the budgets that an error or an estimate names: costs drift until a retry."""


@dataclass(frozen=True)
class Assessment:
    """What admission knows about a job. All times in ms."""

    job: JobRequest
    """With its budget."""
    options: tuple[Option, ...]
    """At least one, at the costs of the fastest worker."""
    admission: Admission
    wait_ms: float
    """Time until the job's run would begin."""
    overhead_ms: float
    """Overhead of gateway and queue."""

    @property
    def smallest_budget_ms(self) -> int:
        """Smallest budget that an idle service can meet, with headroom, as a whole number."""
        return self._promised(self.admission.smallest_ms)

    def budget_for(self, option: Option) -> int:
        """Return the budget for an option on an idle service, with headroom, as a whole number."""
        return self._promised(option.safe_ms + self.overhead_ms)

    def _promised(self, ms: float) -> int:
        return math.ceil(ms * PROMISE)


def admitted(
    job: JobRequest,
    snapshot: Snapshot,
    catalog: Catalog,
    overhead_ms: float,
    default: DefaultBudget | None = None,
) -> Job:
    """Return the job with its cheapest cost, the cost of its narrowest network and the overhead.
    `default` is as for `assessed`.

    The queue itself decides whether the jobs admitted before leave time for this one. Raises the
    errors of `assessed`, and BudgetInfeasible with `smallest_feasible_ms`, a whole number that an
    idle service could meet.
    """
    assessment = assessed(job, snapshot, catalog, overhead_ms, default)
    job, options, admission = assessment.job, assessment.options, assessment.admission
    if not admission.feasible:
        smallest = assessment.smallest_budget_ms
        raise BudgetInfeasible(
            f"A budget of {job.budget_ms:g} ms is too small for this picture; "
            f"at least {smallest} ms are needed.",
            smallest_feasible_ms=smallest,
        )
    return Job.of(
        job,
        cheapest_ms=options[0].safe_ms,
        narrowest_ms=narrowest_network(options).expected_ms,
        overhead_ms=overhead_ms,
    )


def no_time(late_ms: float) -> Overloaded:
    """Return the error of a job that the queue refused because it, or another job because of it,
    would be late by `late_ms`."""
    return Overloaded(
        "The service has too many earlier requests; this one could not be answered in time.",
        retry_after_s=max(1, math.ceil(late_ms / 1e3)),
    )


def over_share(late_ms: float) -> ShareExceeded:
    """Return the error of a job whose client has so much waiting that its jobs would be late by
    `late_ms` on its part of the workers."""
    return ShareExceeded(retry_after_s=max(1, math.ceil(late_ms / 1e3)))


def assessed(
    job: JobRequest,
    snapshot: Snapshot,
    catalog: Catalog,
    overhead_ms: float,
    default: DefaultBudget | None = None,
) -> Assessment:
    """Return a job's options and whether its budget can be met.

    `default` is given for a request without a budget, which then becomes what the picture needs,
    within these bounds. Raises NotReady without a ready worker that has the model and width,
    UnknownModel if the model has left the catalog since planning, and InvalidRequest if no picture
    is expected to reach the requested quality.
    """
    if job.model is not None and job.model not in catalog.names:
        raise UnknownModel
    workers = snapshot.ready_for(job.requirement)
    if not workers and snapshot.ready and catalog.on_demand(job.model):
        raise NotReady(_loading(job, snapshot), retry_after_s=LOADING_RETRY_S)
    if not workers or snapshot.stats is None:
        raise not_ready(snapshot, job.requirement)
    load = Load.at_arrival(snapshot.stats.backlog, len(workers), job.small)
    options = _options(job, workers, catalog, load.contended)
    if not options and job.min_db is None:  # the workers' models are not in this catalog
        raise not_ready(snapshot, job.requirement)
    if not options:
        raise InvalidRequest(_out_of_reach(job))
    idle = _options(job, workers, catalog, contention=False) if load.contended else options
    if default is not None:
        good = good_option(job, options, catalog)
        job = replace(job, budget_ms=default_budget_ms(default, good, options, load, overhead_ms))
    return Assessment(
        job=job,
        options=options,
        admission=admit(idle, job.budget_ms, overhead_ms),
        wait_ms=wait_within(job.budget_ms, options, load, overhead_ms),
        overhead_ms=overhead_ms,
    )


def _loading(job: JobRequest, snapshot: Snapshot) -> str:
    if all(job.model in worker.heartbeat.broken for worker in snapshot.workers if worker.ready):
        return f"No worker could load the model {job.model}; GET /health/ready says why."
    return (
        f"The model {job.model} is loaded at the first request for it; try again in a few seconds."
    )


def _out_of_reach(job: JobRequest) -> str:
    if job.min_db is None:
        return f"No network has a width of at least {job.min_width:g}."
    width = "" if job.min_width is None else f" with a width of at least {job.min_width:g}"
    return f"No network is expected to reach {job.min_db:g} dB at this scale{width}."


def _options(
    job: JobRequest, workers: Iterable[LiveWorker], catalog: Catalog, contention: bool
) -> tuple[Option, ...]:
    """Return the options at the costs of the fastest worker: a job is refused only if no worker
    could meet its budget."""
    per_worker = (_options_on(job, worker, catalog, contention) for worker in workers)
    return min(per_worker, key=_cheapest_ms)


def _options_on(
    job: JobRequest, worker: LiveWorker, catalog: Catalog, contention: bool
) -> tuple[Option, ...]:
    models = {name: catalog.get(name) for name in catalog.names if name in worker.heartbeat.models}
    return options_of(job, models, worker.costs.under(contention))


def _cheapest_ms(options: tuple[Option, ...]) -> float:
    return options[0].safe_ms if options else float("inf")


def not_ready(snapshot: Snapshot, requirement: str = LADDER, **members: Any) -> NotReady:
    """Return the error of a service without ready workers for this `Job.requirement`."""
    why = None
    if snapshot.stats is None:
        why = UNREACHABLE
    elif snapshot.ready:
        what = (
            "a model that it may choose by itself"
            if requirement == LADDER
            else f"the model {requirement}"
        )
        why = f"No worker serves {what} at present."
    return NotReady(why, retry_after_s=NOT_READY_RETRY_S, **members)
