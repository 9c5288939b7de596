"""The ways to make one picture that its caller accepts, each with its cost and its quality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobs.job import Job, OnMiss
from models.catalog import ModelEntry
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import Tiling
from scheduling.work import work_of


@dataclass(frozen=True)
class Option:
    """One rung for one picture."""

    rung: Rung
    expected_ms: float
    """Predicted, from claim to encoded picture."""
    safe_ms: float
    """What nineteen of twenty such runs stay below."""
    db: float | None = None
    """The catalog's measured PSNR-Y near this scale; None where nothing was measured."""


def options_of(job: Job, models: Mapping[str, ModelEntry], costs: CostModel) -> tuple[Option, ...]:
    """Return the options that a job's caller accepts, cheapest first, each better than all before
    it; empty if there are none.

    `models` are those at hand, by name; a job that names none may run on any in the ladder. A width
    and a smallest quality are kept to; resampling counts only where on_miss=degrade allows it.
    """
    networks = [
        _network(job, entry, width.width, costs)
        for name, entry in models.items()
        if (entry.in_ladder if job.model is None else name == job.model)
        for width in entry.widths
        if _wanted(job, width.width)
    ]
    if not networks:
        return ()
    if job.min_db is not None:
        return frontier(o for o in networks if o.db is not None and o.db >= job.min_db)
    if job.pinned_width is not None or job.on_miss is OnMiss.REJECT:
        return frontier(networks)
    return (_floor(job, costs), *frontier(networks))


def frontier(options: Iterable[Option]) -> tuple[Option, ...]:
    """Return the options that no cheaper one equals in quality, cheapest first.

    Where nothing was measured, what costs more counts as better.
    """
    best: list[Option] = []
    for option in sorted(options, key=lambda o: o.safe_ms):
        last = best[-1].db if best else None
        if option.db is None or last is None or option.db > last:
            best.append(option)
    return tuple(best)


def narrowest_network(options: tuple[Option, ...]) -> Option:
    """Return the cheapest option that is not plain resampling, or that if there is no other."""
    return next((o for o in options if o.rung != FLOOR), options[0])


def _wanted(job: Job, width: float) -> bool:
    return job.pinned_width is None or abs(width - job.pinned_width) < 1e-6


def _network(job: Job, entry: ModelEntry, width: float, costs: CostModel) -> Option:
    rung = Rung(entry.name, width)
    work = work_of(job, costs.tilings.get(entry.name, Tiling(entry.halo)))
    db = entry.expected_db(width, math.sqrt(job.scale_h * job.scale_w))
    return Option(rung, costs.predict(rung, work), costs.predict_safe(rung, work), db)


def _floor(job: Job, costs: CostModel) -> Option:
    work = work_of(job, Tiling())
    return Option(FLOOR, costs.predict(FLOOR, work), costs.predict_safe(FLOOR, work))
