"""The cost model follows the machine and resists outliers."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.cost_line import Line
from scheduling.cost_model import CostModel, OutdatedCosts
from scheduling.margin import RUNS
from scheduling.rungs import FLOOR, Rung
from scheduling.slowdown import CHANGE_FACTOR, CHANGE_RUNS, LEAST_GAIN, MOST_STEP
from scheduling.stages import encode_stage, stage_of
from scheduling.tiling import Tiling
from scheduling.work import Work


def work(source: int = 10_000, output: int = 40_000) -> Work:
    return Work(source, output, "png")


def test_a_job_costs_the_sum_of_its_stages():
    rung = Rung("anysr-s", 0.5)
    lines = {
        "decode": Line(1, 100, 0),
        stage_of(rung): Line(2, 1000, 0),
        encode_stage("png"): Line(3, 0, 100),
    }
    assert CostModel(lines).predict(rung, work()) == pytest.approx(1 + 1 + 2 + 10 + 3 + 4)


def test_many_bytes_of_a_file_take_longer_to_decode():
    lines = {"decode:jpeg": Line(1, 100, 0, 10), encode_stage("png"): Line(3, 0, 100)}
    costs = CostModel(lines)
    file = replace(work(), source_bytes=200_000, source_format="jpeg")
    assert costs.predict_stage("decode", file) == pytest.approx(1 + 1 + 2)
    more = costs.around_ms(replace(file, source_bytes=2_000_000)) - costs.around_ms(file)
    assert more == pytest.approx(18)


def test_a_format_without_a_line_has_that_of_all():
    """Old costs have no other, and formats that are not written cannot be measured."""
    costs = CostModel({"decode": Line(0, 500, 0), "decode:jpeg": Line(0, 100, 0)})
    expected = {"": 5.0, "heic": 5.0, "jpeg": 1.0}
    for name, ms in expected.items():
        assert costs.predict_stage("decode", replace(work(), source_format=name)) == ms
    for _ in range(15):
        costs.observe("decode", replace(work(), source_format="jpeg"), 3.0)
    assert costs.predict_stage("decode", replace(work(), source_format="jpeg")) == pytest.approx(3)
    assert costs.predict_stage("decode", replace(work(), source_format="heic")) > 6


def test_costs_of_earlier_versions_have_no_bytes():
    read = CostModel.from_dict({"lines": {"decode": [1, 2, 3]}, "slowdown": {}})
    assert read.lines["decode"] == Line(1, 2, 3, 0)


def test_an_unmeasured_stage_counts_as_slow():
    assert CostModel().predict(FLOOR, work(1_000_000, 1_000_000)) == pytest.approx(6000)


def test_a_machine_that_became_three_times_slower_is_followed_at_all_sizes_and_widths():
    wide, narrow = Rung("m", 1.0), Rung("m", 0.5)
    lines = {stage_of(wide): Line(0, 100_000, 0), stage_of(narrow): Line(0, 60_000, 0)}
    costs = CostModel(lines)
    for number in range(40):
        source = (10_000, 2_000)[number % 2]
        costs.observe(stage_of(wide), work(source), 0.3 * source)
    assert costs.predict_stage(stage_of(wide), work()) == pytest.approx(3000, rel=0.15)
    assert costs.predict_stage(stage_of(narrow), work(20_000)) == pytest.approx(3600, rel=0.15)
    assert costs.predict_stage(stage_of(narrow), work(2_000)) == pytest.approx(360, rel=0.3)
    assert costs.predict_stage("decode", work()) == CostModel().predict_stage("decode", work())


def test_resampling_and_networks_have_slowdowns_of_their_own():
    floor, network = stage_of(FLOOR), stage_of(Rung("m", 1.0))
    for seen, other in ((floor, network), (network, floor)):
        costs = CostModel({floor: Line(0, 1000, 0), network: Line(0, 1000, 0)})
        before = costs.predict_stage(other, work())
        for _ in range(15):
            costs.observe(seen, work(), 30.0)
        assert costs.predict_stage(seen, work()) == pytest.approx(30, rel=0.05)
        assert costs.predict_stage(other, work()) == before


def test_halos_cost_the_network_stage_alone():
    rung = Rung("m", 1.0)
    stages = ["decode", stage_of(FLOOR), stage_of(rung), encode_stage("png")]
    costs = CostModel({stage: Line(1, 100, 10) for stage in stages})
    whole, tiled = work(), replace(work(), halo_pixels=10_000)
    for stage in stages:
        more = costs.predict_stage(stage, tiled) - costs.predict_stage(stage, whole)
        assert more == pytest.approx(1.0 if stage == stage_of(rung) else 0.0)
    assert costs.predict(rung, tiled) - costs.predict(rung, whole) == pytest.approx(1.0)


def test_halos_that_cost_what_was_predicted_do_not_move_the_slowdown():
    stage = stage_of(Rung("m", 1.0))
    costs = CostModel({stage: Line(0, 1000, 0)})
    costs.observe(stage, replace(work(), halo_pixels=5_000), 15.0)
    assert costs.slowdown["network"] == pytest.approx(1)


def settled(slowdown: float = 1.0) -> CostModel:
    """A model after ten runs at this slowdown."""
    costs = CostModel({"decode": Line(0, 1000, 0)}, {"decode": slowdown})
    for _ in range(10):
        costs.observe("decode", work(), 10.0 * slowdown)
    return costs


@pytest.mark.parametrize(("ms", "counted"), [(1e6, MOST_STEP), (1e-6, 1 / MOST_STEP)])
def test_one_outlier_moves_the_estimate_by_a_bounded_step(ms, counted):
    costs = settled()
    costs.observe("decode", work(), ms)
    expected_ms = 10 + LEAST_GAIN * (counted - 1) * 10
    assert costs.predict_stage("decode", work()) == pytest.approx(expected_ms)


def runs_until_known(costs: CostModel, factor: float) -> int:
    """Number of runs at this factor until they are predicted within 1.5 times."""
    for seen in range(100):
        if 1 / 1.5 < costs.predict_stage("decode", work()) / (10 * factor) < 1.5:
            return seen
        costs.observe("decode", work(), 10.0 * factor)
    return 100


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.8, 1.5, 2.0, 3.0, 4.0])
def test_a_steadily_slower_or_faster_machine_is_learnt_in_a_few_runs(factor):
    """One or two runs are enough if the calibration was disturbed."""
    quiet = CostModel({"decode": Line(0, 1000, 0)})
    disturbed = CostModel({"decode": Line(0, 1000, 0, disturbed=True)})
    assert runs_until_known(quiet, factor) <= CHANGE_RUNS + 1
    assert runs_until_known(disturbed, factor) <= 2
    assert runs_until_known(settled(), factor) <= CHANGE_RUNS + 2


@pytest.mark.parametrize("factor", [0.3, 0.5, 2.0, 3.0])
def test_a_machine_that_changes_for_good_is_followed_within_a_few_runs(factor):
    costs = settled()
    for _ in range(CHANGE_RUNS + 1):
        costs.observe("decode", work(), 10.0 * factor)
    assert costs.predict_stage("decode", work()) == pytest.approx(10 * factor, rel=0.15)


def test_random_variation_hardly_moves_the_slowdown():
    costs, far = settled(), CHANGE_FACTOR * 1.1
    for _ in range(10):
        for factor in (far, far, 1.0, 1 / far, 1.0, 1 / far):
            costs.observe("decode", work(), 10.0 * factor)
            assert 7.5 < costs.predict_stage("decode", work()) < 13.5


@pytest.mark.parametrize(("disturbed", "mean"), [(True, 1.2), (False, 3.4 / 3)])
def test_the_first_runs_are_averaged_with_an_undisturbed_calibration(disturbed, mean):
    costs = CostModel({"decode": Line(0, 1000, 0, disturbed=disturbed)})
    for ms in (14.0, 10.0):
        costs.observe("decode", work(), ms)
    assert costs.predict_stage("decode", work()) == pytest.approx(10 * mean)


def test_renewed_lines_forget_what_was_learnt():
    costs = settled(2.0)
    costs.slowdown["network"], costs.margin = 1.5, 3.0
    costs.lines["decode"] = replace(costs.lines["decode"], disturbed=True)
    assert costs.disturbed == {"decode"}
    costs.renew({"decode": Line(0, 2000, 0)})
    assert costs.disturbed == set()
    assert (costs.slowdown, costs.margin) == ({"network": 1.5}, CostModel().margin)
    costs.observe("decode", work(), 30.0)
    assert costs.predict_stage("decode", work()) == pytest.approx(25)


def test_a_new_stage_is_learnt_from_its_first_run():
    costs = CostModel()
    costs.observe(encode_stage("avif"), Work(1, 500_000, "avif"), 50.0)
    assert costs.predict_stage(encode_stage("avif"), Work(1, 1_000_000, "avif")) == 100


def test_the_written_form_comes_back_the_same():
    tilings = {"m": Tiling(10, 5000, 7000)}
    costs = CostModel({"decode": Line(1, 2, 3, 4)}, {"network": 1.5}, tilings)
    assert CostModel.from_dict(json.loads(json.dumps(costs.to_dict()))) == costs


def test_the_written_form_says_which_lines_were_disturbed():
    costs = CostModel({"decode": Line(1, 2, 3, disturbed=True), "encode:png": Line(1, 2, 3)})
    again = CostModel.from_dict(json.loads(json.dumps(costs.to_dict())))
    assert again.disturbed == {"decode"}


def test_the_written_form_of_an_earlier_version_is_refused():
    written = CostModel({"decode": Line(1, 2, 3)}, {"network": 1.5}).to_dict()
    contended = {name: written[name] for name in ("slowdown", "delay", "margin")}
    outdated = {"pace": contended["slowdown"], **contended}
    for data in ({**written, "pace": {}}, {**written, "contended": outdated}):
        with pytest.raises(OutdatedCosts, match="anysr calibrate"):
            CostModel.from_dict(data)


@pytest.mark.parametrize("tiling", [{"halo": -1}, {"pixels": 0}, {"tile": 3}, {"pixels": "x"}, 7])
def test_an_impossible_tiling_is_refused(tiling):
    with pytest.raises((ValueError, TypeError)):
        CostModel.from_dict({"lines": {}, "slowdown": {}, "tilings": {"m": tiling}})


def test_handling_time_is_learnt_and_predicted():
    lines = {"decode": Line(1, 0, 0), stage_of(FLOOR): Line(10, 0, 0), "encode:png": Line(1, 0, 0)}
    costs = CostModel(lines)
    assert costs.predict(FLOOR, work()) == 12
    for _ in range(5):
        costs.observe_handling(6.0)
    assert costs.predict(FLOOR, work()) == pytest.approx(18)
    assert CostModel.from_dict(costs.to_dict()).predict(FLOOR, work()) == pytest.approx(18)


def test_one_delayed_run_hardly_moves_the_handling_time():
    costs = CostModel()
    for _ in range(10):
        costs.observe_handling(4.0)
    costs.observe_handling(5_000.0)
    assert costs.handling_ms < 10


def test_a_short_run_is_delayed_by_as_many_ms_as_a_long_one():
    """Delays of up to 100 ms, whatever the length of a run: one kind of run must not make the
    prediction for another many times too long."""
    costs, delays = CostModel(), [5.0, 20.0, 60.0, 95.0]
    for number in range(2000):
        expected_ms = 40.0 if number % 2 else 400.0
        costs.observe_run(expected_ms, expected_ms + delays[number % 4])
    for expected_ms in (40.0, 400.0):
        assert expected_ms + 60 < costs.safe(expected_ms)
    assert costs.safe(40) < 200
    assert costs.safe(400) < 900


def test_two_of_a_hundred_runs_exceed_the_safe_cost():
    costs, random, over = CostModel(), np.random.default_rng(1), 0
    for _ in range(5000):
        expected_ms = float(random.uniform(20, 500))
        actual_ms = expected_ms * float(np.exp(random.normal(0, 0.3)))
        over += actual_ms > costs.safe(expected_ms)
        costs.observe_run(expected_ms, actual_ms)
    assert 0.01 < over / 5000 < 0.03


def test_the_margin_forgets_an_overload_after_a_hundred_runs():
    costs = CostModel()
    for _ in range(50):
        costs.observe_run(50.0, 700.0)
    assert costs.margin > 4
    for _ in range(RUNS):
        costs.observe_run(50.0, 55.0)
    assert costs.margin < 1.1


def test_one_delayed_run_does_not_move_the_margin():
    costs = CostModel()
    costs.observe_run(50.0, 5000.0)
    assert costs.margin == CostModel().margin


def test_runs_under_contention_are_learnt_apart():
    costs = CostModel({"decode": Line(10, 0, 0)})
    assert costs.under(True).predict_stage("decode", work()) == 10
    for _ in range(20):
        costs.under(True).observe("decode", work(), 30.0)
        costs.under(True).observe_run(30.0, 300.0)
        costs.under(False).observe("decode", work(), 12.0)
    assert costs.under(True).predict_stage("decode", work()) == pytest.approx(30, rel=0.05)
    assert costs.under(False).predict_stage("decode", work()) == pytest.approx(12, rel=0.05)
    assert costs.under(True).margin > 2 > costs.under(False).margin
    again = CostModel.from_dict(json.loads(json.dumps(costs.to_dict())))
    for contention in (False, True):
        read, known = again.under(contention), costs.under(contention)
        assert read.predict_stage("decode", work()) == known.predict_stage("decode", work())
        assert read.margin == known.margin


def test_renewed_lines_apply_under_contention_too():
    costs = CostModel({"decode": Line(10, 0, 0)})
    for _ in range(20):
        costs.under(True).observe("decode", work(), 30.0)
        costs.under(True).observe_run(30.0, 300.0)
    costs.renew({"decode": Line(7, 0, 0)})
    assert costs.under(True).predict_stage("decode", work()) == 7
    assert costs.under(True).margin == CostModel().margin


def test_delayed_small_runs_do_not_raise_the_cost_of_large_ones():
    """Runs of 5 to 40 ms take four times as long under contention; a run of a second is delayed
    by about as much as the longest of them."""
    stage = stage_of(Rung("m", 1.0))
    costs = CostModel({stage: Line(0, 1000, 0)})
    for number in range(400):
        source = (5_000, 10_000, 20_000, 40_000)[number % 4]
        costs.observe(stage, work(source), 0.004 * source)
    for source in (10_000, 20_000, 40_000):
        assert costs.predict_stage(stage, work(source)) == pytest.approx(
            0.004 * source, rel=0.3, abs=30
        )
    assert 1050 < costs.predict_stage(stage, work(1_000_000)) < 2000


def test_large_runs_correct_an_estimate_from_small_ones():
    stage = stage_of(Rung("m", 1.0))
    costs = CostModel({stage: Line(0, 1000, 0)})
    for number in range(400):
        source = (10_000, 40_000, 400_000)[number % 3]
        costs.observe(stage, work(source), min(0.004 * source, 1.2e-3 * source + 100))
    assert costs.predict_stage(stage, work(400_000)) == pytest.approx(580, rel=0.1)
    assert costs.predict_stage(stage, work(40_000)) == pytest.approx(148, abs=50)


@given(st.floats(1, 5000), st.floats(1.01, 10))
def test_the_longest_run_within_a_time_is_that_whose_safe_cost_it_is(safe_ms, margin):
    costs = CostModel(margin=margin)
    expected_ms = costs.expected_within(safe_ms)
    if expected_ms:
        assert costs.safe(expected_ms) == pytest.approx(safe_ms)
    else:
        assert costs.safe(0.0) >= safe_ms
