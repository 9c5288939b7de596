"""Calibration: everything that a job can need is measured, and the measures make sense."""

from __future__ import annotations

import math

from models.catalog import SHIPPED
from scheduling.cost_model import DECODE, CostModel, encode_stage, stage_of
from scheduling.rungs import FLOOR, ladder
from scheduling.work import Work
from tests.workers.workbench import Gated, default_entry, zoo_of
from workers.calibration import ONCE_ABOVE_MS, ROUNDS, Trial, calibrate, measure, warm
from workers.encode import writable_formats
from workers.runtimes.onnx import OnnxSession


def test_every_stage_has_a_line_that_makes_sense() -> None:
    zoo = zoo_of(OnnxSession(SHIPPED, default_entry(), threads=1))
    costs = calibrate(zoo)
    rungs = (FLOOR, *ladder(default_entry()))
    expected = {DECODE, *map(stage_of, rungs), *map(encode_stage, writable_formats())}
    assert set(costs.lines) == expected
    for line in costs.lines.values():
        parts = (line.fixed, line.per_source, line.per_output)
        assert all(math.isfinite(part) and part >= 0 for part in parts)
        assert sum(parts) > 0
    assert costs.lines[DECODE].per_output < 1e-6
    assert costs.lines[encode_stage("png")].per_source < 1e-6
    assert costs.tilings == {name: served.tiling for name, served in zoo.items()}
    assert CostModel.from_dict(costs.to_dict()) == costs
    large = Work(512 * 512, 1024 * 1024, "png")
    widest = ladder(default_entry())[-1]
    assert costs.predict(widest, large) > costs.predict(FLOOR, Work(1024, 4096, "png"))


class Machine:
    """A clock, and calls that take the time that they are given, longer while it is disturbed."""

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


def test_each_stage_needs_to_be_left_in_peace_only_once() -> None:
    """At any time: what disturbs for as long as one stage would take in a row spoils none."""
    machine = Machine()
    costs = {"a": 5.0, "b": 7.0, "c": 9.0}
    trials = [machine.trial(stage, cost) for stage, cost in costs.items()]
    machine.disturbed = set(range(ROUNDS * len(trials))) - {0, 4, 8}  # the first round's a, ...
    lines = measure(trials, clock=lambda: machine.now)
    work = Work(0, 1_000_000, "")
    assert {stage: round(line.at(work), 6) for stage, line in lines.items()} == costs


def test_what_takes_long_is_measured_once() -> None:
    machine = Machine()
    measure([machine.trial("slow", ONCE_ABOVE_MS + 1)], clock=lambda: machine.now)
    assert machine.calls == 1
    measure([machine.trial("quick", ONCE_ABOVE_MS - 1)], clock=lambda: machine.now)
    assert machine.calls == 1 + ROUNDS


def test_every_width_is_warm_after_one_run_of_each() -> None:
    seen: list[float] = []

    class Noting(Gated):
        def run(self, image, rows, columns, width, strength=0.0):
            seen.append(width)
            return super().run(image, rows, columns, width, strength)

    session = Noting()
    session.gate.set()
    warm(zoo_of(session))
    assert seen == [entry.width for entry in default_entry().widths]
