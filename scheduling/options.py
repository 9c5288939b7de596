"""Options for one picture: the rungs that its caller accepts, with cost and expected quality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from jobs.job import JobRequest, OnMiss
from models.catalog import ModelEntry
from models.expectation import MOST_DB, Expectation
from scheduling.cost_model import CostModel
from scheduling.rungs import FLOOR, Rung
from scheduling.stages import stage_of
from scheduling.tiling import Tiling, tiling_of
from scheduling.work import Work, work_of


@dataclass(frozen=True)
class Option:
    """One rung for one picture."""

    rung: Rung
    expected_ms: float
    """Predicted ms from claim to encoded picture."""
    safe_ms: float
    """Ms that forty-nine of fifty such runs stay below."""
    db: float | None = None
    """Expected PSNR-Y in dB: of this picture once it is decoded, before that the catalog's mean
    near this scale and strength; None where nothing was measured."""
    rescue_ms: float = 0.0
    """Of resampling: ms that forty-nine of fifty such runs stay below once the picture is decoded;
    0 for networks."""


Options = tuple[Option, ...]
"""Options for one picture, cheapest first, each better than all before it."""


UNCUT = Tiling()
"""Of plain resampling, and of what all networks have in common."""


def options_of(
    job: JobRequest,
    models: Mapping[str, ModelEntry],
    costs: CostModel,
    expectation: Expectation | None = None,
) -> Options:
    """Return the options that a job's caller accepts; empty if there are none.

    `models` are the available ones, by name; a job that names none may run on any in the ladder.
    Options respect the job's width and smallest quality. Plain resampling is one only where
    on_miss=degrade allows it. `expectation` is that of the decoded picture; without it, a quality
    above every network's mean leaves the best network, because this picture may exceed the mean.
    """
    around_ms = costs.around_ms(work_of(job, UNCUT))
    networks = [
        option
        for entry in _eligible(job, models)
        for option in _networks(job, entry, costs, around_ms, expectation)
    ]
    if not networks:
        return ()
    if job.min_db is not None:
        good = frontier(o for o in networks if _good_enough(job, o.db))
        return good or (() if expectation else _best_if_reachable(job.min_db, frontier(networks)))
    if not _accepts_floor(job):
        return frontier(networks)
    floor, best = _floor(job, costs, expectation), frontier(networks)
    return best if best[0].safe_ms < floor.safe_ms else (floor, *best)


def _accepts_floor(job: JobRequest) -> bool:
    wished = (job.pinned_width, job.min_width, job.min_db)
    return job.on_miss is not OnMiss.REJECT and all(wish is None for wish in wished)


def _best_if_reachable(min_db: float, networks: Options) -> Options:
    """Return the best network if some picture may reach `min_db` with it."""
    best = networks[-1:]
    return best if min_db <= MOST_DB and all(o.db is not None for o in best) else ()


def _eligible(job: JobRequest, models: Mapping[str, ModelEntry]) -> list[ModelEntry]:
    """Return the model that the job names, or all models in the ladder."""
    if job.model is not None:
        return [models[job.model]] if job.model in models else []
    return [entry for entry in models.values() if entry.chosen_freely]


def frontier(options: Iterable[Option]) -> Options:
    """Return the options that are better than every cheaper one, cheapest first.

    An option without measured quality counts as better than every cheaper one.
    """
    best: list[Option] = []
    for option in sorted(options, key=lambda o: o.safe_ms):
        last = best[-1].db if best else None
        if option.db is None or last is None or option.db > last:
            best.append(option)
    return tuple(best)


def narrowest_network(options: Options) -> Option:
    """Return the cheapest option that is a network; plain resampling if there is none."""
    return next((o for o in options if o.rung != FLOOR), options[0])


def options_left(
    job: JobRequest,
    entry: ModelEntry,
    width: float,
    costs: CostModel,
    left: float,
    expectation: Expectation | None = None,
) -> Options:
    """Return the options to finish a picture begun at `width`, narrowest first.

    `left` is the part of the network's work that remains, 0 to 1; costs are of that part. The last
    option keeps the width: within a picture no tile is wider than an earlier one.
    """
    work = _work(job, entry, costs)
    remaining = []
    for rung in (Rung(entry.name, w.width) for w in entry.widths if w.width <= width):
        db = _expected_db(job, entry, rung.width, expectation)
        if rung.width == width or (_wanted(job, rung.width) and _good_enough(job, db)):
            left_ms = costs.predict_remaining(rung, work, left)
            remaining.append(Option(rung, left_ms, costs.safe(left_ms), db))
    return tuple(remaining)


def resampling_left(
    job: JobRequest, costs: CostModel, expectation: Expectation | None = None
) -> Option | None:
    """Return plain resampling for a picture that is decoded; None for a caller who does not accept
    it."""
    if not _accepts_floor(job):
        return None
    floor, work = _floor(job, costs, expectation), work_of(job, UNCUT)
    left_ms = costs.predict_remaining(FLOOR, work, 1.0)
    return replace(floor, expected_ms=left_ms, safe_ms=costs.safe(left_ms))


def cheapest_remaining(
    job: JobRequest,
    models: Mapping[str, ModelEntry],
    costs: CostModel,
    left: float,
    expectation: Expectation | None = None,
) -> Option | None:
    """Return the cheapest network that may finish a picture, whichever began it; None if there is
    none. `left` and the option's costs are as for `options_left`."""
    networks = [o for o in options_of(job, models, costs, expectation) if o.rung != FLOOR]
    if not networks:
        return None
    rung, db = networks[0].rung, networks[0].db
    left_ms = costs.predict_remaining(rung, _work(job, models[rung.model], costs), left)
    return Option(rung, left_ms, costs.safe(left_ms), db)


def _wanted(job: JobRequest, width: float) -> bool:
    if job.min_width is not None and width < job.min_width - 1e-6:
        return False
    return job.pinned_width is None or abs(width - job.pinned_width) < 1e-6


def _good_enough(job: JobRequest, db: float | None) -> bool:
    return job.min_db is None or (db is not None and db >= job.min_db)


def _work(job: JobRequest, entry: ModelEntry, costs: CostModel) -> Work:
    return work_of(job, costs.tilings.get(entry.name) or tiling_of(entry))


def _expected_db(
    job: JobRequest, entry: ModelEntry, width: float, expectation: Expectation | None
) -> float | None:
    if expectation is not None:
        return expectation.db(entry, width)
    return entry.expected_db(width, scale_of(job), job.strength)


def _networks(
    job: JobRequest,
    entry: ModelEntry,
    costs: CostModel,
    around_ms: float,
    expectation: Expectation | None,
) -> Iterator[Option]:
    """Yield the widths of a model; `around_ms` is the time of a run around any network."""
    work = _work(job, entry, costs)
    for width in (w.width for w in entry.widths if _wanted(job, w.width)):
        rung = Rung(entry.name, width)
        expected = around_ms + costs.predict_stage(stage_of(rung), work)
        db = _expected_db(job, entry, width, expectation)
        yield Option(rung, expected, costs.safe(expected), db)


def scale_of(job: JobRequest) -> float:
    """Return the geometric mean of a job's two scales."""
    return math.sqrt(job.scale_h * job.scale_w)


def _floor(job: JobRequest, costs: CostModel, expectation: Expectation | None) -> Option:
    work = work_of(job, UNCUT)
    db = None if expectation is None else expectation.resampled_db
    expected = costs.predict(FLOOR, work)
    # No jitter in the safe cost: the backlog sums it over many short runs, and not all are delayed.
    rescue_ms = costs.safe(costs.predict_remaining(FLOOR, work, 1.0))
    return Option(FLOOR, expected, expected * costs.margin, db, rescue_ms)
