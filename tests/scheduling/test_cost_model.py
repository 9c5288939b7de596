"""The cost model: finds the line behind its samples, follows the machine, is not led astray."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.cost_model import FOLLOW, STEP, CostModel, Line, encode_stage, fit, stage_of
from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import Tiling
from scheduling.work import Work

SIZES = [(1_000, 4_000), (10_000, 40_000), (10_000, 90_000), (60_000, 70_000)]
parts = st.floats(0, 1000)


def work(source: int = 10_000, output: int = 40_000) -> Work:
    return Work(source, output, "png")


@given(st.floats(0.1, 50), parts, parts)
def test_fit_finds_an_exact_line(fixed, per_source, per_output):
    line = Line(fixed, per_source, per_output)
    samples = [(work(*size), line.at(work(*size))) for size in SIZES]
    fitted = fit(samples)
    for size in [*SIZES, (40_000, 160_000)]:
        assert fitted.at(work(*size)) == pytest.approx(line.at(work(*size)), rel=1e-3)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8))
def test_fit_never_predicts_a_negative_time(times):
    samples = [(work(*SIZES[i % len(SIZES)]), ms) for i, ms in enumerate(times)]
    line = fit(samples)
    assert min(line.fixed, line.per_source, line.per_output) >= 0
    assert line.at(work()) > 0


def test_fit_needs_a_sample():
    with pytest.raises(ValueError, match="no samples"):
        fit([])


def test_a_job_costs_the_sum_of_its_stages():
    rung = Rung("anysr-s", 0.5)
    lines = {
        "decode": Line(1, 100, 0),
        stage_of(rung): Line(2, 1000, 0),
        encode_stage("png"): Line(3, 0, 100),
    }
    assert CostModel(lines).predict(rung, work()) == pytest.approx(1 + 1 + 2 + 10 + 3 + 4)


def test_what_was_never_measured_counts_as_slow():
    assert CostModel().predict(FLOOR, work(1_000_000, 1_000_000)) == pytest.approx(6000)


def test_a_machine_that_became_three_times_slower_is_followed_at_all_sizes_and_widths():
    wide, narrow = Rung("m", 1.0), Rung("m", 0.5)
    costs = CostModel({stage_of(wide): Line(0, 1000, 0), stage_of(narrow): Line(0, 600, 0)})
    for _ in range(15):
        costs.observe(stage_of(wide), work(), 30.0)
    assert costs.predict_stage(stage_of(wide), work()) == pytest.approx(30, rel=0.05)
    assert costs.predict_stage(stage_of(narrow), work(20_000)) == pytest.approx(36, rel=0.05)
    assert costs.predict_stage("decode", work()) == CostModel().predict_stage("decode", work())


def test_slow_resampling_tells_nothing_of_the_networks_nor_the_reverse():
    floor, network = stage_of(FLOOR), stage_of(Rung("m", 1.0))
    for seen, other in ((floor, network), (network, floor)):
        costs = CostModel({floor: Line(0, 1000, 0), network: Line(0, 1000, 0)})
        before = costs.predict_stage(other, work())
        for _ in range(15):
            costs.observe(seen, work(), 30.0)
        assert costs.predict_stage(seen, work()) == pytest.approx(30, rel=0.05)
        assert costs.predict_stage(other, work()) == before


def test_a_network_pays_for_the_halos_of_its_tiles_and_nobody_else_does():
    rung = Rung("m", 1.0)
    stages = ["decode", stage_of(FLOOR), stage_of(rung), encode_stage("png")]
    costs = CostModel({stage: Line(1, 100, 10) for stage in stages})
    whole, tiled = work(), replace(work(), halo_pixels=10_000)
    for stage in stages:
        more = costs.predict_stage(stage, tiled) - costs.predict_stage(stage, whole)
        assert more == pytest.approx(1.0 if stage == stage_of(rung) else 0.0)
    assert costs.predict(rung, tiled) - costs.predict(rung, whole) == pytest.approx(1.0)


def test_halos_that_cost_what_was_predicted_do_not_move_the_pace():
    stage = stage_of(Rung("m", 1.0))
    costs = CostModel({stage: Line(0, 1000, 0)})
    costs.observe(stage, replace(work(), halo_pixels=5_000), 15.0)
    assert costs.pace["network"] == pytest.approx(1)


def test_one_outlier_moves_the_pace_by_a_bounded_step():
    costs = CostModel({"decode": Line(0, 1000, 0)})
    costs.observe("decode", work(), 1e6)
    assert costs.pace["decode"] == pytest.approx(1 + FOLLOW * (STEP - 1))


def test_a_new_stage_is_learnt_from_its_first_run():
    costs = CostModel()
    costs.observe(encode_stage("avif"), Work(1, 500_000, "avif"), 50.0)
    assert costs.predict_stage(encode_stage("avif"), Work(1, 1_000_000, "avif")) == 100


def test_the_written_form_comes_back_the_same():
    tilings = {"m": Tiling(10, 5000, 7000)}
    costs = CostModel({"decode": Line(1, 2, 3)}, {"network": 1.5}, tilings)
    assert CostModel.from_dict(json.loads(json.dumps(costs.to_dict()))) == costs


@pytest.mark.parametrize("tiling", [{"halo": -1}, {"pixels": 0}, {"tile": 3}, {"pixels": "x"}, 7])
def test_a_tiling_that_cannot_be_is_refused(tiling):
    with pytest.raises((ValueError, TypeError)):
        CostModel.from_dict({"lines": {}, "pace": {}, "tilings": {"m": tiling}})
