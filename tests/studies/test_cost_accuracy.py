"""The study of the cost model runs a worker's code, and computes its figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from images.opening import read_header
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR
from studies.cost_accuracy import (
    SCALES,
    SIDES,
    Accuracy,
    Phase,
    Run,
    accuracy,
    draw_job,
    measure,
    taken_core,
)
from tests.workers.workbench import Gated, costs_of, models_of

RUN = Run("a", "m", 1.0, 1, 0, 4, "png", 10.0, 13.0, 10.0, {}, 1.3, 1.0)


def test_a_run_is_kept_when_it_stays_below_its_safe_prediction() -> None:
    times = [replace(RUN, run_ms=run_ms) for run_ms in (8.0, 10.0, 13.0, 13.1)]
    seen = accuracy(times)
    assert (seen.runs, seen.kept) == (4, 0.75)
    assert seen.ratio[1] == pytest.approx(1.15)
    assert accuracy([RUN]) == Accuracy(1, 1.0, (1.0, 1.0, 1.0), 1.3, 1.0)


def test_jobs_have_mixed_sizes_and_pictures_of_the_stated_size() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_job(random) for _ in range(20)]
    for job, payload in drawn:
        header = read_header(payload, 10**6)
        assert (header.width, header.height) == (job.source_width, job.source_height)
        assert SIDES[0] <= job.source_width <= SIDES[1]
        assert SCALES[0] - 0.02 <= job.scale_h <= SCALES[1] + 0.02
    assert len({job.output_format for job, _ in drawn}) == 3


def test_every_run_updates_the_model_and_records_its_prediction() -> None:
    session = Gated()
    session.gate.set()
    costs = costs_of(network_ms=2.0)
    phases = (Phase("first", 3, False), Phase("then", 2, False))
    runs = measure(models_of(session), costs, phases, seed=3)
    assert [run.phase for run in runs] == ["first"] * 3 + ["then"] * 2
    for run in runs:
        jitter_ms = 0.0 if run.model == FLOOR.model else CostModel.jitter_ms
        safe_ms = CostModel(margin=run.margin, jitter_ms=jitter_ms).safe(run.expected_ms)
        assert run.safe_ms == pytest.approx(safe_ms)
        assert sum(run.stages_ms.values()) <= run.run_ms
    assert runs[0].margin == 1.0
    assert len({run.margin for run in (*runs, replace(RUN, margin=costs.margin))}) > 1
    assert costs.slowdown


def test_the_busy_process_ends_with_its_phase() -> None:
    with taken_core() as busy:
        assert busy.poll() is None
    assert busy.poll() is not None
