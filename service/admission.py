"""Whether a job can meet its budget, by the costs of the workers that are ready and what waits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from jobs.errors import BudgetInfeasible, InvalidRequest, NotReady, Overloaded, UnknownModel
from jobs.job import LADDER, Job
from models.catalog import Catalog
from scheduling.backlog import Group, Load
from scheduling.options import Option, narrowest_network, options_of
from scheduling.policy import Admission, admit
from service.budgets import DefaultBudget, default_budget_ms, good_option, wait_within
from service.snapshot import LiveWorker, Snapshot

NOT_READY_RETRY_S = 2
"""About as long as a worker takes to warm up or to be seen again."""


LOADING_RETRY_S = 5
"""About as long as a worker takes to load a model and to measure what it costs."""

PROMISE = 1.1
"""What is named as enough lies above what is enough now: costs will have moved when it is sent."""


@dataclass(frozen=True)
class Assessment:
    """What is known of a job before it is let in or refused. All times in ms."""

    job: Job
    """With its budget."""
    options: tuple[Option, ...]
    """What its caller accepts, cheapest first, at least one, at the costs of the fastest worker."""
    admission: Admission
    wait_ms: float
    """After how long it would begin."""
    overhead_ms: float
    """What gateway and queue add."""

    @property
    def smallest_budget_ms(self) -> int:
        """A whole number that is enough on an idle service."""
        return self._promised(self.admission.smallest_ms)

    def budget_for(self, option: Option) -> int:
        """Return a whole number that is enough for an option on an idle service."""
        return self._promised(option.safe_ms + self.overhead_ms)

    def _promised(self, ms: float) -> int:
        return math.ceil(ms * PROMISE)


def admitted(
    job: Job,
    snapshot: Snapshot,
    catalog: Catalog,
    overhead_ms: float,
    default: DefaultBudget | None = None,
) -> Job:
    """Return the job with what it costs in the cheapest way that its caller accepts, with its
    narrowest network, and with what gateway and queue add. `default` as for `assessed`.

    Whether what was let in before leaves time for it is the queue's to say, when it comes there.
    Raises what `assessed` does, and BudgetInfeasible with `smallest_feasible_ms`, a whole number
    that would have been enough on an idle service.
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
    network = narrowest_network(options)
    return replace(
        job, cheapest_ms=options[0].safe_ms, network_ms=network.expected_ms, overhead_ms=overhead_ms
    )


def no_time(late_ms: float) -> Overloaded:
    """Return the error of a job that would be late by so much, or make another late."""
    return Overloaded(
        "Too much was asked of the service before this request; it could not be in time.",
        retry_after_s=max(1, math.ceil(late_ms / 1e3)),
    )


def assessed(
    job: Job,
    snapshot: Snapshot,
    catalog: Catalog,
    overhead_ms: float,
    default: DefaultBudget | None = None,
) -> Assessment:
    """Return what a job would take and whether its budget can be met. With `default`, its budget
    is what its picture needs within these bounds, for its caller named none.

    Raises NotReady without a ready worker that has the model and width; UnknownModel when it has
    left the catalog since it was looked up; InvalidRequest when the quality asked for is expected
    of no picture.
    """
    if job.model is not None and job.model not in catalog.names:
        raise UnknownModel
    workers = snapshot.ready_for(job.requirement)
    if not workers and snapshot.ready and catalog.on_demand(job.model):
        raise NotReady(_loading(job, snapshot), retry_after_s=LOADING_RETRY_S)
    if not workers:
        raise not_ready(snapshot, job.requirement)
    load = load_of(snapshot, len(workers))
    options = _options(job, workers, catalog, load.contended)
    if not options and job.min_db is None:  # what they have, this catalog does not know
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
        admission=admit(options, job.budget_ms, load, overhead_ms, idle[0].safe_ms),
        wait_ms=wait_within(job.budget_ms, options, load, overhead_ms),
        overhead_ms=overhead_ms,
    )


def _loading(job: Job, snapshot: Snapshot) -> str:
    if all(job.model in worker.broken for worker in snapshot.workers if worker.ready):
        return f"No worker could load the model {job.model}; GET /health/ready says why."
    return (
        f"The model {job.model} is loaded when a picture first asks for it; after that, "
        "try again in a few seconds."
    )


def _out_of_reach(job: Job) -> str:
    if job.min_db is None:
        return f"No network has a width of at least {job.min_width:g}."
    width = "" if job.min_width is None else f" with a width of at least {job.min_width:g}"
    return f"No network is expected to reach {job.min_db:g} dB at this scale{width}."


def load_of(snapshot: Snapshot, workers: int) -> Load:
    """Return what there is to do, as the snapshot saw it."""
    backlog = snapshot.stats.backlog if snapshot.stats is not None else None
    if backlog is None:
        return Load(0.0, workers)
    return Load(
        backlog.now_ms,
        max(workers, len(backlog.running)),
        backlog.running,
        tuple(Group(*group) for group in backlog.waiting),
        backlog.inflow,
        backlog.inflow_slack_ms,
    )


def _options(
    job: Job, workers: Iterable[LiveWorker], catalog: Catalog, contention: bool
) -> tuple[Option, ...]:
    """Return the options at the costs of the fastest worker: it is the one that is free soonest,
    and a promise to refuse must be sure."""
    return min((_of_worker(job, worker, catalog, contention) for worker in workers), key=_price)


def _of_worker(
    job: Job, worker: LiveWorker, catalog: Catalog, contention: bool
) -> tuple[Option, ...]:
    models = {name: catalog.get(name) for name in catalog.names if name in worker.models}
    return options_of(job, models, worker.costs.under(contention))


def _price(options: tuple[Option, ...]) -> float:
    return options[0].safe_ms if options else float("inf")


def not_ready(snapshot: Snapshot, needs: str = LADDER, **members: Any) -> NotReady:
    """Return the error of a service that can take no job that needs this (`Job.requirement`)."""
    why = None
    if snapshot.stats is None:
        why = "The queue cannot be reached; try again in a few seconds."
    elif snapshot.ready:
        what = "a model that it may choose by itself" if needs == LADDER else f"the model {needs}"
        why = f"No worker serves {what} at present."
    return NotReady(why, retry_after_s=NOT_READY_RETRY_S, **members)
