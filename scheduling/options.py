"""The ways to make one picture that its caller accepts, each with its cost and its quality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jobs.job import JobRequest, OnMiss
from models.catalog import ModelEntry
from models.expectation import MOST_DB, Expectation
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, Rung
from scheduling.tiling import Tiling, tiling_of
from scheduling.work import Work, work_of


@dataclass(frozen=True)
class Option:
    """One rung for one picture."""

    rung: Rung
    expected_ms: float
    """Predicted, from claim to encoded picture."""
    safe_ms: float
    """What forty-nine of fifty such runs stay below."""
    db: float | None = None
    """The PSNR-Y that is expected of it: of this picture where it was looked at, else the
    catalog's mean near this scale and strength; None where nothing was measured."""


def options_of(
    job: JobRequest,
    models: Mapping[str, ModelEntry],
    costs: CostModel,
    expectation: Expectation | None = None,
) -> tuple[Option, ...]:
    """Return the options that a job's caller accepts, cheapest first, each better than all before
    it; empty if there are none.

    `models` are those at hand, by name; a job that names none may run on any in the ladder. A width
    and a smallest quality are kept to; resampling counts only
    where on_miss=degrade allows it. `expectation` is of the job's picture, once it was looked at;
    before that, what no network reaches in the mean may yet be reached for this one by the best.
    """
    networks = [
        option
        for entry in _eligible(job, models)
        for option in _networks(job, entry, costs, expectation)
    ]
    if not networks:
        return ()
    if job.min_db is not None:
        good = frontier(o for o in networks if _good_enough(job, o.db))
        return good or (() if expectation else _hopeful(job.min_db, frontier(networks)))
    asked = job.pinned_width is not None or job.min_width is not None
    if asked or job.on_miss is OnMiss.REJECT:
        return frontier(networks)
    floor, best = _floor(job, costs, expectation), frontier(networks)
    return best if best[0].safe_ms < floor.safe_ms else (floor, *best)


def _hopeful(min_db: float, networks: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return the best network, where there are pictures of which so much may be expected."""
    best = networks[-1:]
    return best if min_db <= MOST_DB and all(o.db is not None for o in best) else ()


def _eligible(job: JobRequest, models: Mapping[str, ModelEntry]) -> list[ModelEntry]:
    """Return the models that may make a picture: the one that is named, or the ladder."""
    if job.model is not None:
        return [models[job.model]] if job.model in models else []
    return [entry for entry in models.values() if entry.in_ladder]


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


def options_left(
    job: JobRequest,
    entry: ModelEntry,
    width: float,
    costs: CostModel,
    left: float,
    expectation: Expectation | None = None,
) -> tuple[Option, ...]:
    """Return the ways to finish a picture that was begun at a width of a model, narrowest first,
    when `left` of the network's work is left, a part from 0 to 1; their costs are of the rest.

    The last is to go on as before: within a picture no tile is wider than one before it.
    """
    work = _work(job, entry, costs)
    ways = []
    for rung in (Rung(entry.name, w.width) for w in entry.widths if w.width <= width):
        db = _expected_db(job, entry, rung.width, expectation)
        if rung.width == width or (_wanted(job, rung.width) and _good_enough(job, db)):
            rest = costs.predict_rest(rung, work, left)
            ways.append(Option(rung, rest, costs.safe(rest), db))
    return tuple(ways)


def _wanted(job: JobRequest, width: float) -> bool:
    if job.min_width is not None and width < job.min_width - 1e-6:
        return False
    return job.pinned_width is None or abs(width - job.pinned_width) < 1e-6


def _good_enough(job: JobRequest, db: float | None) -> bool:
    return job.min_db is None or (db is not None and db >= job.min_db)


def _work(job: JobRequest, entry: ModelEntry, costs: CostModel) -> Work:
    return work_of(job, costs.tilings.get(entry.name, tiling_of(entry)))


def _expected_db(
    job: JobRequest, entry: ModelEntry, width: float, expectation: Expectation | None
) -> float | None:
    if expectation is not None:
        return expectation.db(entry, width)
    return entry.expected_db(width, scale_of(job), job.strength)


def _networks(
    job: JobRequest, entry: ModelEntry, costs: CostModel, expectation: Expectation | None
) -> Iterator[Option]:
    work = _work(job, entry, costs)
    for width in (w.width for w in entry.widths if _wanted(job, w.width)):
        rung = Rung(entry.name, width)
        expected = costs.predict(rung, work)
        db = _expected_db(job, entry, width, expectation)
        yield Option(rung, expected, costs.safe(expected), db)


def scale_of(job: JobRequest) -> float:
    """Return the one scale that stands for a job's two: their geometric mean."""
    return math.sqrt(job.scale_h * job.scale_w)


def _floor(job: JobRequest, costs: CostModel, expectation: Expectation | None) -> Option:
    work = work_of(job, Tiling())
    db = None if expectation is None else expectation.resampled_db
    expected = costs.predict(FLOOR, work)
    # What waits is summed up at this cost, and of many short runs not all are held up.
    return Option(FLOOR, expected, expected * costs.margin, db)
