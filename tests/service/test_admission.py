"""What is let in: by the costs of the workers, and by what was let in before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.errors import BudgetInfeasible, InvalidRequest, NotReady, UnknownModel
from jobs.formats import ImageFormat
from jobs.job import Backlog, Job, OnMiss, QueueStats
from models.catalog import Catalog
from service.admission import admitted, assessed, no_time
from service.snapshot import LiveWorker, Snapshot
from tests.service.harness import (
    FLOOR_MS,
    MODEL,
    NARROW_MS,
    OFFERS,
    UNSERVED,
    cost_model,
    model_entry,
)

CATALOG = Catalog(default=MODEL, models=(model_entry(MODEL),))
NOW = 1_000_000.0
JOB = Job(
    id="a",
    source_width=20,
    source_height=12,
    output_width=40,
    output_height=24,
    output_format=ImageFormat.PNG,
    quality=None,
    model=None,
    pinned_width=None,
    on_miss=OnMiss.DEGRADE,
    budget_ms=100.0,
    cheapest_ms=0.0,
)


def snapshot(workers: int = 1, backlog: Backlog | None = None, factor: float = 1.0) -> Snapshot:
    costs = replace(cost_model(), pace={"network": factor})
    live = tuple(
        LiveWorker(f"w{n}", True, False, (MODEL,), costs, capabilities=OFFERS)
        for n in range(workers)
    )
    return Snapshot(live, QueueStats(0, 0, 0, 0, backlog))


def test_an_admitted_job_says_what_it_costs() -> None:
    job = admitted(JOB, snapshot(), CATALOG, 5.0)
    assert (job.cheapest_ms, job.network_ms) == (FLOOR_MS, NARROW_MS)
    strict = admitted(replace(JOB, on_miss=OnMiss.REJECT), snapshot(), CATALOG, 5.0)
    assert (strict.cheapest_ms, strict.network_ms) == (NARROW_MS, NARROW_MS)


def test_the_smallest_feasible_budget_is_feasible_even_if_costs_rise_a_little() -> None:
    with pytest.raises(BudgetInfeasible) as refusal:
        admitted(replace(JOB, budget_ms=1.0), snapshot(), CATALOG, 5.0)
    smallest = refusal.value.details["smallest_feasible_ms"]
    assert FLOOR_MS + 5 < smallest <= 1.1 * (FLOOR_MS + 5) + 1
    admitted(replace(JOB, budget_ms=smallest), snapshot(), CATALOG, 5.0)
    admitted(replace(JOB, budget_ms=FLOOR_MS + 5), snapshot(), CATALOG, 5.0)
    with pytest.raises(BudgetInfeasible):
        admitted(replace(JOB, budget_ms=FLOOR_MS + 4.9), snapshot(), CATALOG, 5.0)
    strict = replace(JOB, on_miss=OnMiss.REJECT, budget_ms=1.0)
    with pytest.raises(BudgetInfeasible) as refusal:
        admitted(strict, snapshot(), CATALOG, 5.0)
    smallest = refusal.value.details["smallest_feasible_ms"]
    admitted(replace(strict, budget_ms=smallest), snapshot(factor=1.1), CATALOG, 5.0)


def test_the_fastest_worker_decides() -> None:
    fast, slow = snapshot(factor=0.5).workers[0], snapshot(factor=3.0).workers[0]
    job = replace(JOB, on_miss=OnMiss.REJECT, budget_ms=30.0)
    both = Snapshot((slow, fast), QueueStats(0, 0, 0, 0))
    assert admitted(job, both, CATALOG, 0.0).cheapest_ms == 22.0
    with pytest.raises(BudgetInfeasible):
        admitted(job, Snapshot((slow,), QueueStats(0, 0, 0, 0)), CATALOG, 0.0)


def late_ms(job: Job, workers: int, backlog: Backlog) -> float:
    return assessed(job, snapshot(workers, backlog), CATALOG, 0.0).admission.late_ms


def test_what_waits_before_it_leaves_no_time_for_it() -> None:
    queue = Backlog(NOW, waiting=((NOW + 10, 5_000.0, 9_000.0),), running=(NOW + 50,))
    late = late_ms(JOB, 1, queue)
    assert late == 5_050 - (JOB.budget_ms - FLOOR_MS)
    assert no_time(late).details["retry_after_s"] == 5
    assert late_ms(replace(JOB, budget_ms=5_100.0), 1, queue) == 0


def test_more_workers_let_in_what_one_cannot_do() -> None:
    queue = Backlog(NOW, waiting=((NOW + 10, 150.0, 300.0),), running=())
    assert late_ms(JOB, 1, queue) > 0
    assert late_ms(JOB, 2, queue) == 0


def test_it_must_not_make_late_what_was_let_in_before() -> None:
    """The one behind can start at 100 at the latest, after 97 ms of work that come before it."""
    behind = Backlog(NOW, ((NOW + 20, 97.5, 97.5), (NOW + 100, 50.0, 50.0)))
    job = replace(JOB, budget_ms=102.0)  # it would begin at 97.5, at 99 at the latest
    assert late_ms(job, 1, behind) > 0
    alone = Backlog(NOW, ((NOW + 20, 97.5, 97.5),))
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


def test_what_is_too_late_in_any_case_hides_nothing_that_is_not() -> None:
    """The last could still be in time, by one millisecond, and would not be after this one."""
    hopeless, last = (NOW + 200, 500.0, 500.0), (NOW + 501, 10.0, 10.0)
    job = replace(JOB, budget_ms=102.0)
    assert late_ms(job, 1, Backlog(NOW, (hopeless,))) == 0
    assert late_ms(job, 1, Backlog(NOW, (hopeless, last))) > 0


def test_no_worker_is_not_ready() -> None:
    with pytest.raises(NotReady):
        admitted(JOB, Snapshot((), QueueStats(0, 0, 0, 0)), CATALOG, 0.0)


def test_what_the_catalog_and_the_workers_do_not_both_have_is_not_let_in() -> None:
    """While their folders differ, or while one of them has read its own again and one has not."""
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
    ("broken", "told"), [({}, "try again in a few seconds"), ({UNSERVED: "gone"}, "says why")]
)
def test_a_model_on_demand_is_not_ready_yet(broken: dict[str, str], told: str) -> None:
    rare = model_entry(UNSERVED).model_copy(update={"on_demand": True})
    catalog = Catalog(default=MODEL, models=(*CATALOG.models, rare))
    seen = snapshot(workers=2)
    seen = replace(seen, workers=tuple(replace(w, broken=broken) for w in seen.workers))
    with pytest.raises(NotReady, match=told) as refusal:
        admitted(replace(JOB, model=UNSERVED), seen, catalog, 5.0)
    assert refusal.value.details["retry_after_s"] == 5
