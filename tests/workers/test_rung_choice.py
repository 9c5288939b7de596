"""Gateway and worker predict the same cost of a tiled picture."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from jobs.backlog import Backlog, QueueStats
from jobs.errors import BudgetInfeasible
from jobs.heartbeat import WorkerHeartbeat
from jobs.job import OnMiss
from models.catalog import Catalog
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.mix import Mix
from scheduling.rungs import FLOOR, ladder
from scheduling.stages import stage_of
from scheduling.tiling import Tiling
from service.admission import admitted
from service.snapshot import LiveWorker, Snapshot
from tests.workers.workbench import Gated, a_job, costs_of, default_entry, models_of
from workers.binding import Binding
from workers.cost_updates import update_cost_model
from workers.current_models import LoadedModels
from workers.execution import Execution
from workers.loaded_model import LoadedModel, ModelsByName
from workers.pipeline import PipelineResult
from workers.rung_choice import RungChoice, choose_rung

MS_PER_MEGAPIXEL = 1000.0
ALONE = Load(now_ms=0.0, workers=1)
CATALOG = Catalog(default=default_entry().name, models=(default_entry(),))


def costs_by_input(models: ModelsByName) -> CostModel:
    """Costs by input pixels alone, halos included."""
    costs = costs_of(0, cheapest_ms=0)
    for rung in ladder(default_entry()):
        costs.lines[stage_of(rung)] = Line(0, MS_PER_MEGAPIXEL, 0)
    costs.lines[stage_of(FLOOR)] = Line(0, MS_PER_MEGAPIXEL, 0)
    costs.tilings = {name: served.tiling for name, served in models.items()}
    costs.margin = 1.0
    return costs


def snapshot(costs: CostModel) -> Snapshot:
    """The worker as the gateway sees it."""
    received = CostModel.from_dict(json.loads(json.dumps(costs.to_dict())))
    capabilities = LoadedModels(models_of(Gated()), received).capabilities
    models = (default_entry().name,)
    heartbeat = WorkerHeartbeat("w", True, models, {}, capabilities=capabilities)
    worker = LiveWorker(heartbeat, received)
    return Snapshot((worker,), QueueStats(0, 0, 0, 0, Backlog(0.0)))


@pytest.mark.parametrize(
    "tiling", [Tiling(20), Tiling(20, pixels=5_000), Tiling(20, output_pixels=90_000)]
)
def test_gateway_and_worker_predict_the_same(tiling: Tiling) -> None:
    models = {default_entry().name: LoadedModel(default_entry(), Gated(), tiling)}
    costs = costs_by_input(models)
    job = a_job(
        source_width=160, source_height=120, output_width=1280, output_height=960,
        on_miss=OnMiss.REJECT,
    )  # fmt: skip
    promised = admitted(job, snapshot(costs), CATALOG, overhead_ms=0)
    choice = choose_rung(job, models, costs, 60_000, ALONE)
    assert choice.decision.option.safe_ms == pytest.approx(promised.cheapest_ms)
    assert choice.engine is not None
    assert choice.engine.tiling == tiling
    untiled_ms = 160 * 120 / 1e6 * MS_PER_MEGAPIXEL + 2  # and decoding and encoding
    if tiling == Tiling(20):
        assert promised.cheapest_ms == pytest.approx(untiled_ms)
    else:
        assert promised.cheapest_ms > 1.5 * untiled_ms


def test_a_budget_without_room_for_the_halos_is_refused() -> None:
    tiling = Tiling(20, pixels=5_000)
    models = {default_entry().name: LoadedModel(default_entry(), Gated(), tiling)}
    job = a_job(
        source_width=160, source_height=120, output_width=320, output_height=240,
        on_miss=OnMiss.REJECT, budget_ms=160 * 120 / 1e6 * MS_PER_MEGAPIXEL + 5,
    )  # fmt: skip
    with pytest.raises(BudgetInfeasible):
        admitted(job, snapshot(costs_by_input(models)), CATALOG, overhead_ms=0)


def test_contended_runs_are_predicted_by_and_update_contended_costs() -> None:
    models = models_of(Gated())
    costs = costs_by_input(models)
    job = a_job(on_miss=OnMiss.REJECT)
    before = choose_rung(job, models, costs, 60_000, ALONE).decision.option.expected_ms
    crowd = Load(0.0, 2, running=[1000.0])
    choice = choose_rung(job, models, costs, 60_000, crowd)
    assert choice.decision.option.expected_ms == before
    for _ in range(20):
        bound = Binding(job, models, costs, 60_000, crowd)
        network_ms = 3 * work_ms(costs, bound.choice)
        update_cost_model(Execution(bound, made_in(network_ms)), network_ms)
    beside = choose_rung(job, models, costs, 60_000, crowd).decision.option.expected_ms
    assert beside > 2 * before
    assert choose_rung(job, models, costs, 60_000, ALONE).decision.option.expected_ms == before
    predicted = admitted(job, snapshot(costs), CATALOG, overhead_ms=0)
    assert predicted.narrowest_ms == pytest.approx(before)


def test_a_worker_counts_the_jobs_that_it_claims_in_its_mix() -> None:
    models, mix = models_of(Gated()), Mix()
    load = replace(ALONE, mix=mix)
    choose_rung(a_job(), models, costs_by_input(models), 60_000, load)
    assert mix
    assert mix.stretch_at(math.inf) == 1.0


def work_ms(costs: CostModel, choice: RungChoice) -> float:
    """The predicted network time of a bound run on an idle machine."""
    return costs.under(False).predict_stage(stage_of(choice.decision.option.rung), choice.work)


def made_in(network_ms: float) -> PipelineResult:
    stages_ms = {"decode": 1.0, "network": network_ms, "encode": 1.0}
    return PipelineResult(b"", 1, stages_ms)
