"""Calibration: everything that a job can need is measured, and the measures make sense."""

from __future__ import annotations

import math

from models.catalog import SHIPPED
from scheduling.cost_model import DECODE, CostModel, encode_stage, stage_of
from scheduling.rungs import FLOOR, ladder
from scheduling.work import Work
from tests.workers.workbench import default_entry, zoo_of
from workers.calibration import calibrate
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
