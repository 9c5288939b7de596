"""Options are what the caller accepts, each better than all cheaper ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.job import JobRequest, OnMiss
from models.catalog import Artifact, ModelEntry, QualityEntry, WidthEntry
from models.expectation import Expectation
from models.spec import NetworkSpec
from models.strength import strength_of_quality
from scheduling.cost_line import Line
from scheduling.cost_model import CostModel
from scheduling.options import frontier, narrowest_network, options_left, options_of
from scheduling.rungs import FLOOR, Rung, ladder
from scheduling.stages import stage_of
from tests.support.jobs import job_request

FILE = Artifact(file="x", sha256="0" * 64, bytes=1)
JOB = job_request(
    source_width=100, source_height=80, output_width=200, output_height=160, budget_ms=1e4
)


def entry(name: str, *psnr: float | None, in_ladder: bool = True) -> ModelEntry:
    """A model whose widths 1/n, 2/n, ... have these measured qualities at x2."""
    widths = [(n + 1) / len(psnr) for n in range(len(psnr))]
    return ModelEntry(
        name=name, description="", licence="", network=NetworkSpec("none"),
        min_scale=1.0, max_scale=8.0, trained_scales=(1.0, 4.0), halo=0, weights=FILE,
        widths=tuple(WidthEntry(width=w, channels=8, onnx=FILE) for w in widths),
        quality=tuple(
            QualityEntry(dataset="B100", scale=2.0, width=w, psnr_y=db, ssim=0.9)
            for w, db in zip(widths, psnr, strict=True)
            if db is not None
        ),
        in_ladder=in_ladder,
    )  # fmt: skip


SMALL, LARGE = entry("small", 31.0, 31.5), entry("large", 31.4, 32.0)
REAL = entry("real", 33.0, 34.0, in_ladder=False)
MODELS = {m.name: m for m in (SMALL, LARGE, REAL)}


def costs() -> CostModel:
    lines = {"decode": Line(0, 0, 0), "encode:png": Line(0, 0, 0), stage_of(FLOOR): Line(1, 0, 0)}
    figures = {"small": (10, 20), "large": (40, 80), "real": (40, 80)}
    for model in MODELS.values():
        for rung, ms in zip(ladder(model), figures[model.name], strict=True):
            lines[stage_of(rung)] = Line(ms, 0, 0)
    return CostModel(lines, margin=2.0, jitter_ms=0.0)


def rungs(job: JobRequest) -> list[Rung]:
    return [option.rung for option in options_of(job, MODELS, costs())]


def test_the_ladder_spans_models_without_dominated_options() -> None:
    # large@0.5 is dearer than small@1 and worse.
    assert rungs(JOB) == [FLOOR, Rung("small", 0.5), Rung("small", 1.0), Rung("large", 1.0)]


def test_resampling_is_no_option_where_a_network_costs_less() -> None:
    known = costs()
    known.lines[stage_of(FLOOR)] = Line(11, 0, 0)
    found = options_of(JOB, MODELS, known)
    assert [option.safe_ms for option in found] == sorted(option.safe_ms for option in found)
    assert FLOOR not in [option.rung for option in found]


def test_options_have_cost_margin_and_quality() -> None:
    options = options_of(JOB, MODELS, costs())
    assert [(o.expected_ms, o.safe_ms, o.db) for o in options] == [
        (1, 2, None), (10, 20, 31.0), (20, 40, 31.5), (80, 160, 32.0),
    ]  # fmt: skip
    assert narrowest_network(options).rung == Rung("small", 0.5)


def test_a_named_model_is_the_only_one() -> None:
    assert rungs(replace(JOB, model="large")) == [FLOOR, Rung("large", 0.5), Rung("large", 1.0)]


def test_a_model_outside_the_ladder_runs_only_by_name() -> None:
    assert not any(rung.model == "real" for rung in rungs(JOB))
    assert Rung("real", 1.0) in rungs(replace(JOB, model="real"))


def test_reject_and_a_pinned_width_exclude_resampling() -> None:
    assert FLOOR not in rungs(replace(JOB, on_miss=OnMiss.REJECT))
    assert rungs(replace(JOB, model="large", pinned_width=0.5)) == [Rung("large", 0.5)]


def test_a_smallest_quality_leaves_the_options_that_reach_it() -> None:
    assert rungs(replace(JOB, min_db=31.5)) == [Rung("small", 1.0), Rung("large", 1.0)]


def test_a_quality_above_all_means_leaves_the_best_network() -> None:
    assert rungs(replace(JOB, min_db=40.0)) == [Rung("large", 1.0)]
    assert rungs(replace(JOB, min_db=60.0)) == []  # of no picture is so much expected


def test_the_expectation_of_the_decoded_picture_replaces_the_mean() -> None:
    easy = Expectation(2.0, 0.0, resampled_db=38.0, gain=1.0, below_db=1.0, above_db=1.0)
    hard = replace(easy, resampled_db=24.0)
    job = replace(JOB, min_db=31.5)
    assert options_of(job, MODELS, costs(), easy)[0].rung == Rung("small", 0.5)
    assert options_of(job, MODELS, costs(), hard) == ()
    floor, *networks = options_of(JOB, MODELS, costs(), hard)
    assert floor.db == 24.0
    assert [o.db for o in networks] == [
        hard.db(MODELS[o.rung.model], o.rung.width) for o in networks
    ]
    left = options_left(job, LARGE, 1.0, costs(), 0.5, easy)
    assert [o.rung.width for o in left] == [0.5, 1.0]


@pytest.mark.parametrize("changes", [{"model": "none"}, {"model": "small", "pinned_width": 0.3}])
def test_an_unknown_model_or_width_has_no_options(changes: dict[str, object]) -> None:
    assert rungs(replace(JOB, **changes)) == []  # type: ignore[arg-type]


def test_without_measured_quality_the_more_expensive_option_counts_as_better() -> None:
    unknown = {"u": entry("u", None, None)}
    cost = CostModel({stage_of(r): Line(n, 0, 0) for n, r in enumerate(ladder(unknown["u"]), 1)})
    networks = [o for o in options_of(JOB, unknown, cost) if o.rung != FLOOR]
    assert [o.rung.width for o in networks] == [0.5, 1.0]
    assert frontier(reversed(networks)) == tuple(networks)


def test_a_smallest_width_excludes_narrower_networks_and_resampling() -> None:
    assert rungs(replace(JOB, min_width=0.6)) == [Rung("small", 1.0), Rung("large", 1.0)]
    assert rungs(replace(JOB, model="small", min_width=0.5)) == [
        Rung("small", 0.5),
        Rung("small", 1.0),
    ]


def test_a_picture_is_finished_with_its_model_and_never_wider() -> None:
    left = options_left(JOB, LARGE, 1.0, costs(), left=0.25)
    assert [(o.rung.width, o.expected_ms, o.safe_ms, o.db) for o in left] == [
        (0.5, 10, 20, 31.4),
        (1.0, 20, 40, 32.0),
    ]
    assert [o.rung.width for o in options_left(JOB, LARGE, 0.5, costs(), 0.25)] == [0.5]


@pytest.mark.parametrize(
    "asked", [{"model": "large", "pinned_width": 1.0}, {"min_db": 31.5}, {"min_width": 0.75}]
)
def test_the_callers_limits_hold_for_the_rest_of_a_picture(asked) -> None:
    job = replace(JOB, **asked)
    assert [o.rung.width for o in options_left(job, LARGE, 1.0, costs(), 0.5)] == [1.0]


def test_the_rest_of_a_picture_includes_encoding() -> None:
    known = costs()
    known.lines["decode"] = Line(100, 0, 0)
    known.lines["encode:png"] = Line(7, 0, 0)
    (option,) = options_left(JOB, SMALL, 0.5, known, left=0.5)
    assert option.expected_ms == 0.5 * 10 + 7


def test_a_damaged_picture_uses_the_quality_measured_at_its_strength() -> None:
    """The best network for clean pictures may be worse for damaged ones; it is then no option."""
    measured = [q.model_copy(update={"dataset": "B100-jpeg75"}) for q in LARGE.quality]
    worse = [q.model_copy(update={"psnr_y": q.psnr_y - 5}) for q in measured]
    large = LARGE.model_copy(update={"quality": (*LARGE.quality, *worse)})
    damaged = replace(JOB, strength=strength_of_quality(75))
    models = {m.name: m for m in (SMALL, large)}
    chosen = {o.rung.model for o in options_of(damaged, models, costs())} - {FLOOR.model}
    assert chosen == {"small"}
    assert "large" in {o.rung.model for o in options_of(JOB, models, costs())}
