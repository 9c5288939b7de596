"""The default budget is enough for its picture, and no larger."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.backlog import Backlog, ClientLoad, Group, QueueStats
from jobs.errors import BudgetInfeasible, InvalidRequest
from jobs.formats import ImageFormat
from jobs.job import JobRequest, OnMiss
from models.catalog import Catalog, ModelEntry, QualityEntry
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.options import Option
from scheduling.policy import late_ms
from scheduling.rungs import Rung
from scheduling.shares import over_share_ms
from scheduling.stages import FLOOR_STAGE
from service.admission import admitted, assessed
from service.default_budgets import (
    MARGIN,
    DefaultBudget,
    default_budget_ms,
    first_budget_ms,
    good_option,
    jobs_default,
    upscale_default,
    wait_within,
)
from service.settings import GatewaySettings
from service.snapshot import Snapshot
from tests.service.harness import CAPABILITIES, MODEL, live_worker, model_entry
from tests.support.jobs import job_request

LARGE = "drawn-l"
NOW = 1_000_000.0
BOUNDS = DefaultBudget(1_000.0, 10_000.0, 120_000.0)
STAGES = ("decode", FLOOR_STAGE, *(f"encode:{image_format.value}" for image_format in ImageFormat))
NETWORKS = tuple(f"network:{model}@{w:g}" for model in (MODEL, LARGE) for w in (0.25, 0.5, 1.0))


def measured(name: str, *db: float) -> ModelEntry:
    """A model whose three widths were measured at x2."""
    rows = tuple(
        QualityEntry(dataset="B100", scale=2.0, width=width, psnr_y=value, ssim=0.9)
        for width, value in zip((0.25, 0.5, 1.0), db, strict=True)
    )
    return model_entry(name).model_copy(update={"quality": rows})


CATALOG = Catalog(
    default=MODEL, models=(measured(MODEL, 31.0, 31.5, 32.0), measured(LARGE, 31.8, 32.2, 32.5))
)

milliseconds = st.floats(0, 5_000)
lines = st.builds(Line, milliseconds, milliseconds, milliseconds)
cost_models = st.builds(
    CostModel,
    st.fixed_dictionaries(dict.fromkeys((*STAGES, *NETWORKS), lines)),
    margin=st.floats(1.01, 3),
)
jobs = st.builds(
    JobRequest,
    id=st.just("a"),
    source_width=st.integers(1, 5_000),
    source_height=st.integers(1, 5_000),
    output_width=st.integers(5_000, 10_000),
    output_height=st.integers(5_000, 10_000),
    output_format=st.sampled_from(ImageFormat),
    quality=st.none(),
    model=st.sampled_from((None, MODEL, LARGE)),
    pinned_width=st.none(),
    on_miss=st.sampled_from(OnMiss),
    budget_ms=st.just(1.0),
    min_db=st.sampled_from((None, 31.2, 31.9, 32.4)),
    min_width=st.sampled_from((None, 0.5, 1.0)),
)
bounds = st.lists(st.floats(1, 1e6), min_size=3, max_size=3).map(
    lambda three: DefaultBudget(*sorted(three))
)
overheads = st.floats(1, 1_000)
groups = st.tuples(st.floats(-10_000, 200_000), st.floats(0, 20_000))
backlogs = st.tuples(st.lists(groups, max_size=8), st.lists(st.floats(-100, 30_000), max_size=3))


def snapshot(costs: CostModel, backlog: Backlog | None = None) -> Snapshot:
    worker = live_worker(costs, (MODEL, LARGE), (*CAPABILITIES, LARGE))
    return Snapshot((worker,), QueueStats(0, 0, 0, 0, backlog or Backlog(NOW)))


def options_of(*costs: float) -> tuple[Option, ...]:
    return tuple(Option(Rung(MODEL, n), ms, ms) for n, ms in enumerate(sorted(costs), start=1))


@settings(deadline=None)
@given(job=jobs, costs=cost_models, bounds=bounds, overhead_ms=overheads)
def test_a_default_budget_can_be_met_by_an_idle_service(
    job: JobRequest, costs: CostModel, bounds: DefaultBudget, overhead_ms: float
) -> None:
    """Below the upper bound, it is feasible and has room for the good result."""
    idle = snapshot(costs)
    try:
        found = assessed(job, idle, CATALOG, overhead_ms, bounds)
    except InvalidRequest:  # no network is as good as that
        return
    budget_ms = found.job.budget_ms
    assert bounds.least_ms <= budget_ms <= bounds.most_ms
    good = good_option(job, found.options, CATALOG)
    run_ms = MARGIN * good.safe_ms
    assert budget_ms in (first_budget_ms(bounds, run_ms), bounds.most_ms) or (
        0 <= budget_ms - run_ms - overhead_ms <= 1
    )
    if bounds.most_ms >= found.options[0].safe_ms + overhead_ms:
        assert admitted(job, idle, CATALOG, overhead_ms, bounds).budget_ms == budget_ms
        assert admitted(found.job, idle, CATALOG, overhead_ms).budget_ms == budget_ms
    else:
        with pytest.raises(BudgetInfeasible) as refusal:
            admitted(job, idle, CATALOG, overhead_ms, bounds)
        assert refusal.value.details["smallest_feasible_ms"] == found.smallest_budget_ms


@settings(deadline=None)
@given(
    costs=st.lists(st.floats(1, 50_000), min_size=1, max_size=4),
    backlog=backlogs,
    overhead_ms=overheads,
    part=st.floats(0, 1, exclude_max=True),
)
def test_a_default_budget_is_the_smallest_that_covers_the_wait(
    costs: list[float],
    backlog: tuple[list[tuple[float, float]], list[float]],
    overhead_ms: float,
    part: float,
) -> None:
    waiting = tuple(Group(NOW + start, ms, ms) for start, ms in sorted(backlog[0]))
    running = tuple(NOW + end for end in sorted(backlog[1]))
    load = Load.of(Backlog(NOW, waiting, running), 2)
    options = options_of(*costs)
    good = options[-1]

    def needed_ms(budget_ms: float) -> float:
        waits_ms = wait_within(budget_ms, options, load, overhead_ms)
        return math.ceil(MARGIN * good.safe_ms + overhead_ms + waits_ms)

    def admitted_with(budget_ms: float) -> bool:
        return needed_ms(budget_ms) <= budget_ms and not (
            late_ms(options, budget_ms, load, overhead_ms)
        )

    found = default_budget_ms(BOUNDS, good, options, load, overhead_ms)
    assert BOUNDS.least_ms <= found <= BOUNDS.most_ms
    if found < BOUNDS.most_ms:
        assert admitted_with(found)
    first = first_budget_ms(BOUNDS, MARGIN * good.safe_ms)
    assert found >= first
    if found > first:
        less = first + part * (found - first)
        # A part near 1 is rounded up to it, and budgets are whole milliseconds.
        assert found - less <= 1 or not admitted_with(less)


@pytest.mark.parametrize(
    ("run_ms", "budget_ms"),
    [(1, 1_000), (99, 1_000), (150, 1_500), (999, 9_990), (1_001, 10_000), (9_000, 10_000)],
)
def test_a_small_picture_gets_ten_times_what_it_needs(run_ms: float, budget_ms: float) -> None:
    """Between the least and the usual budget; above that, a picture gets what it needs."""
    assert first_budget_ms(BOUNDS, run_ms) == budget_ms


def test_a_default_budget_grows_until_it_makes_no_job_late() -> None:
    """Two jobs leave 15 ms before the second must start: one of 20 ms goes behind both."""
    load = Load.of(Backlog(NOW, (Group(NOW + 100, 960, 960), Group(NOW + 975, 50, 50))), 1)
    options = options_of(20.0)
    assert late_ms(options, BOUNDS.least_ms, load, 10.0) == 5.0
    found = default_budget_ms(BOUNDS, options[0], options, load, 10.0)
    assert found == MARGIN * 20 + 10 + 960 + 50
    assert late_ms(options, found, load, 10.0) == 0


def test_a_default_budget_keeps_its_client_within_its_part() -> None:
    """A client with half of one worker and two seconds of work has half of four seconds before."""
    own = (Group(NOW + 500, 2_000.0, 2_000.0),)
    load = Load(NOW, 1, waiting=own, own=ClientLoad(0.5, own))
    options = options_of(20.0)
    alone = default_budget_ms(BOUNDS, options[0], options, replace(load, own=None), 10.0)
    assert over_share_ms(options, alone, load, 10.0) > 0
    found = default_budget_ms(BOUNDS, options[0], options, load, 10.0)
    assert found == 4_000 + 20 + 10 + 1
    assert over_share_ms(options, found, load, 10.0) == 0


def test_jobs_with_a_later_start_do_not_lengthen_a_default_budget() -> None:
    """Ten minutes of work that can wait until tomorrow, and four seconds of urgent work."""
    patient = Group(NOW + 80_000_000, 600_000.0, 600_000.0)
    urgent = Group(NOW + 10, 4_000.0, 4_000.0)
    options = options_of(8_000.0)
    for waiting, budget_ms in (((patient,), 12_010), ((urgent, patient), 16_010)):
        load = Load.of(Backlog(NOW, waiting), 1)
        assert default_budget_ms(BOUNDS, options[0], options, load, 10.0) == budget_ms


def flat(**ms: float) -> CostModel:
    """Costs in ms of networks `s` and `l` at a width in percent, at any size."""
    names = {"s": MODEL, "l": LARGE}
    lines = dict.fromkeys(STAGES, Line(0.0, 0.0, 0.0))
    for rung, cost in ms.items():
        name = f"network:{names[rung[0]]}@{int(rung[1:]) / 100:g}"
        lines[name] = Line(cost, 0.0, 0.0)
    return CostModel(lines, margin=1.0)


USUAL = flat(s25=10, s50=20, s100=40, l25=80, l50=160, l100=320)
PICTURE = job_request(
    source_width=20, source_height=20, output_width=40, output_height=40, budget_ms=1.0
)


@pytest.mark.parametrize(
    ("changes", "costs", "rung"),
    [
        ({}, USUAL, Rung(MODEL, 1.0)),
        ({"model": MODEL, "pinned_width": 0.5}, USUAL, Rung(MODEL, 0.5)),
        ({"model": LARGE}, USUAL, Rung(LARGE, 1.0)),
        ({"min_db": 32.1}, USUAL, Rung(LARGE, 0.5)),
        ({"on_miss": OnMiss.REJECT}, USUAL, Rung(MODEL, 1.0)),
        # The default model is no option where a cheaper one is better.
        ({}, flat(s25=10, s50=20, s100=400, l25=80, l50=160, l100=320), Rung(LARGE, 0.5)),
    ],
)
def test_a_good_result_is_the_default_model_at_full_width_or_the_requested_one(
    changes: dict[str, object], costs: CostModel, rung: Rung
) -> None:
    job = replace(PICTURE, **changes)  # type: ignore[arg-type]
    capabilities = (*CAPABILITIES, LARGE, f"{MODEL}@0.5")
    worker = live_worker(costs, (MODEL, LARGE), capabilities)
    seen = Snapshot((worker,), QueueStats(0, 0, 0, 0, Backlog(NOW)))
    options = assessed(job, seen, CATALOG, 10.0).options
    assert good_option(job, options, CATALOG).rung == rung


def test_a_good_result_is_the_best_available_without_the_default_model() -> None:
    worker = live_worker(USUAL, (LARGE,))
    other = Catalog(default=MODEL, models=(measured(MODEL, 40.0, 41.0, 42.0), CATALOG.get(LARGE)))
    seen = Snapshot((worker,), QueueStats(0, 0, 0, 0, Backlog(NOW)))
    options = assessed(PICTURE, seen, other, 10.0).options
    assert good_option(PICTURE, options, other).rung == Rung(LARGE, 1.0)


@pytest.mark.parametrize(
    ("given", "upscale", "jobs"),
    [
        ({}, (1_000, 10_000, 120_000), (60_000, 600_000)),
        ({"default_budget_ms": 300_000}, (1_000, 300_000, 300_000), (60_000, 600_000)),
        ({"default_budget_ms": 500}, (500, 500, 120_000), (60_000, 600_000)),
        ({"min_default_budget_ms": 50}, (50, 10_000, 120_000), (60_000, 600_000)),
        ({"min_default_budget_ms": 20_000}, (10_000, 10_000, 120_000), (60_000, 600_000)),
        ({"max_default_budget_ms": 5_000}, (1_000, 10_000, 10_000), (60_000, 600_000)),
        ({"max_budget_ms": 30_000}, (1_000, 10_000, 30_000), (30_000, 30_000)),
        ({"max_budget_ms": 1_000}, (1_000, 1_000, 1_000), (1_000, 1_000)),
    ],
)
def test_bounds_hold_for_all_settings(
    given: dict[str, float], upscale: tuple[float, float, float], jobs: tuple[float, float]
) -> None:
    limits = GatewaySettings(**given)  # type: ignore[arg-type]
    assert upscale_default(limits) == DefaultBudget(*upscale)
    assert jobs_default(limits) == DefaultBudget(jobs[0], *jobs)
