"""The simulator's options are those of the service, with measured costs and quality."""

from __future__ import annotations

import pytest

from jobs.formats import ImageFormat
from jobs.job import OnMiss
from scheduling.cost_line import UNCALIBRATED_MS_PER_MEGAPIXEL
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, Rung
from scheduling.simulation.tables import tables_of
from scheduling.simulation.workload import Kind
from scheduling.stages import encode_stage
from tests.scheduling.test_options import MODELS, costs, entry

KIND = Kind(100, 80, 2.0, "png")


def test_a_kind_has_the_options_of_its_job_and_the_floor_its_measured_quality() -> None:
    (options,) = tables_of([KIND], MODELS, costs())
    assert [(o.rung.model, o.expected_ms, o.db) for o in options] == [
        ("lanczos", 1, 29.93), ("small", 10, 31.0), ("small", 20, 31.5), ("large", 80, 32.0),
    ]  # fmt: skip


def test_a_pinned_rung_is_the_only_option_even_if_another_is_cheaper_and_no_worse() -> None:
    (options,) = tables_of([KIND], MODELS, costs(), pinned=Rung("large", 0.5))
    assert [(o.rung, o.expected_ms, o.db) for o in options] == [(Rung("large", 0.5), 40, 31.4)]


def test_the_floors_quality_is_interpolated_between_measured_scales() -> None:
    (options,) = tables_of([Kind(100, 80, 2.25, "png")], MODELS, costs())
    assert options[0].db == pytest.approx((29.93 + 28.41) / 2, abs=0.01)


def test_the_floor_is_no_option_under_reject() -> None:
    (options,) = tables_of([KIND], MODELS, costs(), OnMiss.REJECT)
    assert all(option.rung != FLOOR for option in options)


@pytest.mark.parametrize("output_format", ImageFormat)
def test_a_format_without_a_measured_encoder_counts_as_slow(output_format: ImageFormat) -> None:
    """A worker whose installation lacks an encoder publishes no line for it."""
    known = costs()
    known.lines.pop(encode_stage(output_format), None)
    (options,) = tables_of([Kind(100, 80, 2.0, output_format)], MODELS, known)
    slow_ms = UNCALIBRATED_MS_PER_MEGAPIXEL * 200 * 160 / 1e6
    assert [option.expected_ms - slow_ms for option in options] == pytest.approx([1, 10, 20, 80])


def test_an_unmeasured_cost_or_quality_is_an_error() -> None:
    with pytest.raises(ValueError, match="the costs have no floor:lanczos"):
        tables_of([KIND], MODELS, CostModel())
    with pytest.raises(ValueError, match="anysr evaluate small --record B100"):
        tables_of([KIND], {"small": entry("small", None, 31.0)}, costs())
    with pytest.raises(ValueError, match="no model makes"):
        tables_of([KIND], {}, costs())
