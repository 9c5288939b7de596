"""The choice of the rung for one job, from the slack and the backlog at that moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.errors import DeadlineExceeded, UnknownModel, UnknownWidth
from jobs.job import JobRequest, OnMiss
from models.expectation import Expectation
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.options import Options, options_of
from scheduling.policy import Decision, bind, cheapest
from scheduling.rungs import FLOOR
from scheduling.tiling import Tiling
from scheduling.work import Work, work_of
from workers.loaded_model import ModelsByName
from workers.runtimes.base import Interruptible
from workers.upscale import Engine


@dataclass(frozen=True)
class RungChoice:
    """The option chosen for a job, and what runs it. Without an engine it is plain resampling."""

    decision: Decision
    work: Work
    engine: Engine | None
    costs: CostModel
    """The costs of contended or uncontended runs: the option was chosen by them, and its measured
    times update them."""


def choose_rung(
    job: JobRequest,
    models: ModelsByName,
    costs: CostModel,
    slack_ms: float,
    load: Load,
    expectation: Expectation | None = None,
) -> RungChoice:
    """Choose how to run a job with `slack_ms` left until its deadline, beside the `load`.
    `expectation` as for `options_of`. The first time, without one, the job is counted in the load's
    mix.

    Raises UnknownModel, UnknownWidth and, for on_miss=reject, DeadlineExceeded.
    """
    entries = {name: served.as_run for name, served in models.items()}
    costs = costs.under(load.contended)
    options = options_of(job, entries, costs, expectation)
    if not options:
        raise _nothing_fits(job, models)
    if expectation is None and load.mix is not None:
        load.mix.add(options)
    pinned = job.pinned_width is not None
    load = replace(load, rescues=load.rescues and _interruptible(options, models))
    decision = bind(options, slack_ms, load, pinned)
    if decision is None:
        if job.on_miss is OnMiss.REJECT:
            raise DeadlineExceeded
        decision = cheapest(options, pinned)
    rung = decision.option.rung
    if rung == FLOOR:
        return RungChoice(decision, work_of(job, Tiling()), None, costs)
    served = models[rung.model]
    return RungChoice(decision, work_of(job, served.tiling), served.at(rung.width), costs)


def _interruptible(options: Options, models: ModelsByName) -> bool:
    """Return whether all networks of some options can be interrupted."""
    widest = {option.rung.model: option.rung for option in options if option.rung != FLOOR}
    engines = (models[rung.model].at(rung.width) for rung in widest.values())
    return all(isinstance(engine.network, Interruptible) for engine in engines)


def _nothing_fits(job: JobRequest, models: ModelsByName) -> UnknownModel | UnknownWidth:
    if job.model is not None and job.model not in models:
        return UnknownModel(f"This worker has no model {job.model!r}.")
    if job.pinned_width is not None:
        return UnknownWidth(f"{job.model or 'No model'} has no width {job.pinned_width:g}.")
    return UnknownModel("This worker has no model that reaches the least quality asked for.")
