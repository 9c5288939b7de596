"""Admission: by the costs of the workers and by the jobs admitted before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.backlog import Backlog, Group, QueueStats, Run
from jobs.errors import BudgetInfeasible, InvalidRequest, NotReady, UnknownModel
from jobs.job import JobRequest, OnMiss
from models.catalog import Catalog
from scheduling import policy
from scheduling.load import Load
from service.admission import admitted, assessed, no_time
from service.snapshot import Snapshot
from tests.service.harness import (
    MODEL,
    NARROW_MS,
    RESAMPLING_MS,
    UNSERVED,
    cost_model,
    live_worker,
    model_entry,
)
from tests.support.jobs import job_request

CATALOG = Catalog(default=MODEL, models=(model_entry(MODEL),))
NOW = 1_000_000.0
JOB = job_request(
    source_width=20, source_height=12, output_width=40, output_height=24, budget_ms=100.0
)


def snapshot(workers: int = 1, backlog: Backlog | None = None, factor: float = 1.0) -> Snapshot:
    costs = replace(cost_model(), slowdown={"network": factor})
    live = tuple(live_worker(costs, worker_id=f"w{n}") for n in range(workers))
    return Snapshot(live, QueueStats(0, 0, 0, 0, backlog or Backlog(NOW)))


def test_an_admitted_job_carries_its_costs() -> None:
    job = admitted(JOB, snapshot(), CATALOG, 5.0)
    assert (job.cheapest_ms, job.narrowest_ms) == (RESAMPLING_MS, NARROW_MS)
    strict = admitted(replace(JOB, on_miss=OnMiss.REJECT), snapshot(), CATALOG, 5.0)
    assert (strict.cheapest_ms, strict.narrowest_ms) == (NARROW_MS, NARROW_MS)


def test_the_smallest_feasible_budget_is_feasible_even_if_costs_rise_a_little() -> None:
    with pytest.raises(BudgetInfeasible) as refusal:
        admitted(replace(JOB, budget_ms=1.0), snapshot(), CATALOG, 5.0)
    smallest = refusal.value.details["smallest_feasible_ms"]
    assert RESAMPLING_MS + 5 < smallest <= 1.1 * (RESAMPLING_MS + 5) + 1
    admitted(replace(JOB, budget_ms=smallest), snapshot(), CATALOG, 5.0)
    admitted(replace(JOB, budget_ms=RESAMPLING_MS + 5), snapshot(), CATALOG, 5.0)
    with pytest.raises(BudgetInfeasible):
        admitted(replace(JOB, budget_ms=RESAMPLING_MS + 4.9), snapshot(), CATALOG, 5.0)
    strict = replace(JOB, on_miss=OnMiss.REJECT, budget_ms=1.0)
    with pytest.raises(BudgetInfeasible) as refusal:
        admitted(strict, snapshot(), CATALOG, 5.0)
    smallest = refusal.value.details["smallest_feasible_ms"]
    admitted(replace(strict, budget_ms=smallest), snapshot(factor=1.1), CATALOG, 5.0)


def test_the_fastest_worker_decides() -> None:
    fast, slow = snapshot(factor=0.5).workers[0], snapshot(factor=3.0).workers[0]
    job = replace(JOB, on_miss=OnMiss.REJECT, budget_ms=30.0)
    both = Snapshot((slow, fast), QueueStats(0, 0, 0, 0, Backlog(NOW)))
    assert admitted(job, both, CATALOG, 0.0).cheapest_ms == 22.0
    with pytest.raises(BudgetInfeasible):
        admitted(job, Snapshot((slow,), QueueStats(0, 0, 0, 0, Backlog(NOW))), CATALOG, 0.0)


def test_a_budget_that_an_idle_service_could_meet_is_feasible_under_contention() -> None:
    costs = cost_model()
    costs.under(contention=True).slowdown["network"] = 2.0
    waiting = Backlog(NOW, (Group(NOW + 10, 5.0, 5.0),))
    seen = Snapshot((live_worker(costs),), QueueStats(1, 0, 0, 0, waiting))
    job = replace(JOB, on_miss=OnMiss.REJECT, budget_ms=1.5 * NARROW_MS)
    assert admitted(job, seen, CATALOG, 0.0).cheapest_ms > job.budget_ms
    with pytest.raises(BudgetInfeasible):
        admitted(replace(job, budget_ms=0.9 * NARROW_MS), seen, CATALOG, 0.0)


def late_ms(job: JobRequest, workers: int, backlog: Backlog) -> float:
    options = assessed(job, snapshot(workers, backlog), CATALOG, 0.0).options
    return policy.late_ms(options, job.budget_ms, Load.at_arrival(backlog, workers, job.small))


def test_a_job_behind_too_much_work_is_late() -> None:
    running = (Run(NOW + 50, NOW + 60, 5.0),)
    queue = Backlog(NOW, waiting=(Group(NOW + 10, 5_000.0, 9_000.0),), runs=running)
    late = late_ms(JOB, 1, queue)
    assert late == 5_050 - (JOB.budget_ms - RESAMPLING_MS)
    assert no_time(late).details["retry_after_s"] == 5
    assert late_ms(replace(JOB, budget_ms=5_100.0), 1, queue) == 0


def test_a_run_without_time_for_a_network_gives_way_to_a_small_job_alone() -> None:
    """It takes 3 s more, which are 4.5 with a margin, of the 5 s that it has."""
    queue = Backlog(NOW, runs=(Run(NOW + 3_000, NOW + 5_000, 60_000.0),))
    assert late_ms(JOB, 1, queue) == 0
    large = replace(JOB, source_width=2_000, source_height=2_000, output_width=4_000)
    large = replace(large, output_height=4_000, budget_ms=2_000.0)
    assert late_ms(large, 1, queue) > 0
    urgent = Backlog(NOW, runs=(Run(NOW + 3_000, NOW + 4_500, 60_000.0),))
    assert late_ms(JOB, 1, urgent) > 0


def test_more_workers_admit_what_one_cannot_do() -> None:
    queue = Backlog(NOW, waiting=(Group(NOW + 10, 150.0, 300.0),), running=())
    assert late_ms(JOB, 1, queue) > 0
    assert late_ms(JOB, 2, queue) == 0


def test_a_job_that_would_make_an_admitted_one_late_is_refused() -> None:
    """The job behind must start at 100 at the latest, after 97.5 ms of earlier work."""
    behind = Backlog(NOW, (Group(NOW + 20, 97.5, 97.5), Group(NOW + 100, 50.0, 50.0)))
    job = replace(JOB, budget_ms=102.0)  # it would begin at 97.5, at 99 at the latest
    assert late_ms(job, 1, behind) > 0
    alone = Backlog(NOW, (Group(NOW + 20, 97.5, 97.5),))
    assert late_ms(job, 1, alone) == 0


def test_a_quality_is_planned_by_the_mean_and_by_the_best_above_it() -> None:
    job = replace(JOB, min_db=32.0, budget_ms=200.0)
    cheapest_ms = admitted(job, snapshot(), CATALOG, 0.0).cheapest_ms
    assert cheapest_ms > NARROW_MS
    assert admitted(replace(job, min_db=33.0), snapshot(), CATALOG, 0.0).cheapest_ms == cheapest_ms


def test_a_quality_that_no_picture_reaches_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="60 dB"):
        admitted(replace(JOB, min_db=60.0, budget_ms=200.0), snapshot(), CATALOG, 0.0)


def test_a_width_that_no_network_has_is_an_invalid_request() -> None:
    entry = CATALOG.get(CATALOG.default)
    job = replace(JOB, min_width=entry.widths[-1].width, budget_ms=10_000.0)
    assert admitted(job, snapshot(), CATALOG, 0.0).cheapest_ms > NARROW_MS
    both = replace(job, min_db=99.0)
    with pytest.raises(InvalidRequest, match="99 dB at this scale with a width of at least 1"):
        admitted(both, snapshot(), CATALOG, 0.0)


def test_a_hopeless_job_does_not_hide_one_that_can_be_in_time() -> None:
    """The last job can still be in time, by one millisecond, but not behind this one."""
    hopeless = Group(NOW + 200, 500.0, 500.0)
    last = Group(NOW + 501, 10.0, 10.0)
    job = replace(JOB, budget_ms=102.0)
    assert late_ms(job, 1, Backlog(NOW, (hopeless,))) == 0
    assert late_ms(job, 1, Backlog(NOW, (hopeless, last))) > 0


def test_unknown_state_of_the_queue_is_not_ready() -> None:
    with pytest.raises(NotReady, match="queue cannot be reached"):
        admitted(JOB, replace(snapshot(), stats=None), CATALOG, 0.0)


def test_no_worker_is_not_ready() -> None:
    with pytest.raises(NotReady):
        admitted(JOB, Snapshot((), QueueStats(0, 0, 0, 0, Backlog(NOW))), CATALOG, 0.0)


def test_a_model_missing_in_catalog_or_workers_is_not_admitted() -> None:
    """Their folders may differ, or only one of them has followed a reload request."""
    other = Catalog(default="other", models=(model_entry("other"),))
    with pytest.raises(NotReady, match="may choose by itself"):
        admitted(JOB, snapshot(), other, 0.0)
    with pytest.raises(NotReady, match="the model other at present"):
        admitted(replace(JOB, model="other"), snapshot(), other, 0.0)
    with pytest.raises(NotReady, match=f"{MODEL}@0.3"):
        admitted(replace(JOB, model=MODEL, pinned_width=0.3), snapshot(), CATALOG, 0.0)
    with pytest.raises(UnknownModel):
        admitted(replace(JOB, model=MODEL), snapshot(), other, 0.0)


@pytest.mark.parametrize(
    ("broken", "message"), [({}, "try again in a few seconds"), ({UNSERVED: "gone"}, "says why")]
)
def test_a_model_on_demand_is_not_ready_yet(broken: dict[str, str], message: str) -> None:
    rare = model_entry(UNSERVED).model_copy(update={"on_demand": True})
    catalog = Catalog(default=MODEL, models=(*CATALOG.models, rare))
    [worker] = snapshot().workers
    worker = replace(worker, heartbeat=replace(worker.heartbeat, broken=broken))
    seen = replace(snapshot(), workers=(worker, worker))
    with pytest.raises(NotReady, match=message) as refusal:
        admitted(replace(JOB, model=UNSERVED), seen, catalog, 5.0)
    assert refusal.value.details["retry_after_s"] == 5
