"""Options of each kind of request, for the simulator.

They come from `options_of`, like those of a real job, with the catalog's measured quality and a
measured cost model. The quality of plain resampling, which the catalog does not hold, is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.formats import ImageFormat
from jobs.job import JobRequest, OnMiss
from models.catalog import QUALITY_DATASET, ModelEntry, resampled_db
from scheduling.cost_model import CostModel
from scheduling.options import Option, Options, options_of
from scheduling.rungs import FLOOR, Rung
from scheduling.simulation.workload import Kind
from scheduling.stages import stage_of


def tables_of(
    kinds: Sequence[Kind],
    models: Mapping[str, ModelEntry],
    costs: CostModel,
    on_miss: OnMiss = OnMiss.DEGRADE,
    pinned: Rung | None = None,
) -> list[Options]:
    """Return the options of each kind of request, or of the pinned rung alone.

    Raises ValueError for a kind that no model can make, and where a cost or a quality was not
    measured.
    """
    return [_table(_job(kind, on_miss, pinned), kind, models, costs) for kind in kinds]


def _table(
    job: JobRequest, kind: Kind, models: Mapping[str, ModelEntry], costs: CostModel
) -> Options:
    options = options_of(job, models, costs)
    if not any(option.rung != FLOOR for option in options):
        raise ValueError(f"no model makes {kind}")
    return tuple(_measured(option, kind, costs) for option in options)


def _measured(option: Option, kind: Kind, costs: CostModel) -> Option:
    if stage_of(option.rung) not in costs.lines:
        raise ValueError(
            f"the costs have no {stage_of(option.rung)}; measure them with `anysr calibrate`"
        )
    if option.rung == FLOOR:
        return replace(option, db=round(resampled_db(kind.scale), 2))
    if option.db is None:
        raise ValueError(
            f"{option.rung.model} has no measured quality at width {option.rung.width:g}; "
            f"measure it with `anysr evaluate {option.rung.model} --record {QUALITY_DATASET}`"
        )
    return option


def _job(kind: Kind, on_miss: OnMiss, pinned: Rung | None) -> JobRequest:
    return JobRequest(
        id="simulated",
        source_width=kind.width,
        source_height=kind.height,
        output_width=round(kind.width * kind.scale),
        output_height=round(kind.height * kind.scale),
        output_format=ImageFormat(kind.output_format),
        quality=None,
        model=pinned.model if pinned else None,
        pinned_width=pinned.width if pinned else None,
        on_miss=on_miss,
        budget_ms=0.0,
    )
