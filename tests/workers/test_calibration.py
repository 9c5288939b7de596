"""Calibration: every stage of a job is measured, with plausible results."""

from __future__ import annotations

import math

import pytest

from images.encode import writable_formats
from models.catalog import SHIPPED
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, ladder
from scheduling.stages import DECODE, decode_stage, encode_stage, stage_of
from scheduling.work import Work
from tests.workers.workbench import Cores, Gated, default_entry, models_of
from workers.calibration import (
    ENOUGH_MS,
    MAX_WAIT_MS,
    NETWORK_SIZES,
    ROUNDS,
    SMALL_SIZES,
    Trial,
    calibrate,
    measure,
    remeasure,
    warm,
)
from workers.disturbance import ALL_CORES, Meter
from workers.runtimes.onnx import OnnxSession


def test_every_stage_has_a_line_that_makes_sense() -> None:
    models = models_of(OnnxSession(SHIPPED, default_entry(), threads=1))
    costs = calibrate(models)
    rungs = (FLOOR, *ladder(default_entry()))
    codecs = [stage(f) for f in writable_formats() for stage in (decode_stage, encode_stage)]
    assert set(costs.lines) == {DECODE, *map(stage_of, rungs), *codecs}
    for stage, line in costs.lines.items():
        assert all(math.isfinite(part) and part >= 0 for part in line.parts)
        assert sum(line.parts) > 0
        assert line.per_megabyte == 0 or stage.startswith("decode:")
    assert costs.lines[DECODE].per_output < 1e-6
    assert costs.lines[decode_stage("jpeg")].per_megabyte > 0
    assert costs.lines[encode_stage("png")].per_source < 1e-6
    assert costs.tilings == {name: served.tiling for name, served in models.items()}
    assert CostModel.from_dict(costs.to_dict()) == costs
    large = Work(512 * 512, 1024 * 1024, "png")
    *_, widest = widths = ladder(default_entry())
    of_widths = [costs.predict(rung, large) for rung in widths]
    assert of_widths == sorted(of_widths)
    assert costs.predict(widest, large) > costs.predict(FLOOR, Work(1024, 4096, "png"))


class Machine:
    """A clock, and calls of given durations, which are longer while it is disturbed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = 0
        self.disturbed: set[int] = set()

    def trial(self, stage: str, milliseconds: float) -> Trial:
        def call() -> None:
            factor = 10.0 if self.calls in self.disturbed else 1.0
            self.now += factor * milliseconds / 1e3
            self.calls += 1

        return Trial(stage, Work(0, 1_000_000, ""), call)


def test_a_disturbance_shorter_than_half_of_the_rounds_changes_no_cost() -> None:
    """As long as all rounds of one stage in a row would take."""
    machine = Machine()
    costs = {"a": 5.0, "b": 7.0, "c": 9.0}
    trials = [machine.trial(stage, cost) for stage, cost in costs.items()]
    machine.disturbed = set(range(4, 4 + ROUNDS))
    lines = measure(trials, clock=lambda: machine.now)
    work = Work(0, 1_000_000, "")
    assert {stage: round(line.at(work), 6) for stage, line in lines.items()} == costs


@pytest.mark.parametrize(("part", "calls"), [(1.01, 1), (0.6, 2), (0.3, 4), (0.9 / ROUNDS, ROUNDS)])
def test_slow_trials_have_fewer_rounds(part: float, calls: int) -> None:
    machine = Machine()
    measure([machine.trial("a", part * ENOUGH_MS)], clock=lambda: machine.now)
    assert machine.calls == calls


WORK = Work(0, 1_000_000, "")


def a_trial(cores: Cores, stage: str, *times_ms: float) -> Trial:
    """A call that takes these times in turn, and then always the last one."""
    left = list(times_ms)

    def call() -> None:
        cores.pass_s((left.pop(0) if len(left) > 1 else left[0]) / 1e3)

    return Trial(stage, WORK, call)


def measured_on(cores: Cores, *trials: Trial) -> dict[str, Line]:
    return measure(trials, ALL_CORES, clock=lambda: cores.read().wall, meter=Meter(cores.read))


def test_costs_of_a_quiet_machine_are_not_marked() -> None:
    cores = Cores(own=1.9)
    lines = measured_on(cores, a_trial(cores, "a", 5.0), a_trial(cores, "b", 500.0))
    assert not any(line.disturbed for line in lines.values())


def test_a_slow_trial_is_repeated_after_a_disturbed_round() -> None:
    cores = Cores(own=1.9)
    others = [a_trial(cores, stage, 600.0) for stage in "abcdefgh"]
    slow = a_trial(cores, "slow", 900.0, 600.0, 500.0)

    def first_disturbed() -> None:
        cores.others = 1.0 if cores.read().wall < 5.0 else 0.0
        slow.call()
        cores.others = 0.0

    lines = measured_on(cores, *others, Trial("slow", WORK, first_disturbed))
    assert lines["slow"].at(WORK) == pytest.approx(750.0)  # the median of both
    assert not lines["slow"].disturbed


@pytest.mark.parametrize(
    ("cores", "times_ms", "described"),
    [
        (Cores(own=1.0, others=1.0), [5.0], "others took 1.0 of 2 cores"),
        (Cores(own=1.5, stolen=0.5), [5.0], "the hypervisor 0.5"),
        (Cores(own=0.3), [5.0], "got 30 % of a core"),
        (Cores(own=1.9), [3.0, 9.0, 5.0, 9.0, 4.0], "1.7 times as long"),
    ],
)
def test_costs_of_a_disturbed_machine_are_marked_and_logged(
    cores: Cores, times_ms: list[float], described: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines = measured_on(cores, a_trial(cores, "a", *times_ms))
    assert lines["a"].disturbed
    assert lines["a"].at(WORK) == pytest.approx(5.0)
    assert "the machine was disturbed while costs were measured" in caplog.text
    assert described in caplog.text


def test_a_less_disturbed_wide_network_is_never_cheaper_than_a_narrow_one() -> None:
    cores = Cores()
    narrow, wide = a_trial(cores, "network:m@0.5", 9.0), a_trial(cores, "network:m@1", 6.0)
    other = a_trial(cores, "network:n@1", 3.0)
    lines = measured_on(cores, narrow, wide, other)
    assert lines["network:m@0.5"].at(WORK) <= lines["network:m@1"].at(WORK)
    assert lines["network:n@1"].at(WORK) == pytest.approx(3.0)


class Sided(Gated):
    """Records the sides of its inputs, rims included."""

    def __init__(self) -> None:
        super().__init__()
        self.gate.set()
        self.shown: list[int] = []

    def run(self, image, rows, columns, strength=0.0):
        self.shown.append(image.shape[2])
        return super().run(image, rows, columns, strength)


@pytest.mark.parametrize(
    ("factor", "sizes"), [(0.5, NETWORK_SIZES), (2.0, SMALL_SIZES)], ids=["short", "long"]
)
def test_slow_models_are_remeasured_on_small_pictures(
    factor: float, sizes: tuple[tuple[int, int], ...]
) -> None:
    session, turns = Sided(), 0
    models = models_of(session)
    rim = 2 * next(iter(models.values())).tiling.rim
    old = {stage_of(rung): Line(factor * MAX_WAIT_MS, 0, 0) for rung in ladder(default_entry())}

    def turn(call):
        nonlocal turns
        turns += 1
        return call()

    lines = remeasure(models, old, old.keys(), turn)
    assert lines.keys() == old.keys()
    assert {shown - rim for shown in session.shown} == {source for source, _ in sizes}
    assert turns == len(session.shown)  # one short measurement at a time


def test_only_disturbed_stages_are_remeasured() -> None:
    session = Sided()
    assert remeasure(models_of(session), {}, {DECODE}, lambda call: call()).keys() == {DECODE}
    assert session.shown == []


def test_every_width_is_warm_after_one_run_of_each() -> None:
    seen: list[float] = []

    class Noting(Gated):
        def at(self, width):
            self.width = width
            return self

        def run(self, image, rows, columns, strength=0.0):
            seen.append(self.width)
            return super().run(image, rows, columns, strength)

    session = Noting()
    session.gate.set()
    warm(models_of(session))
    assert seen == [entry.width for entry in default_entry().widths]
