"""The last decision before a run: which rung, from the slack that is left now."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobs.errors import DeadlineExceeded, UnknownModel, UnknownWidth
from jobs.job import Job
from scheduling.cost_model import CostModel
from scheduling.policy import Decision, bind
from scheduling.rungs import FLOOR, Rung
from scheduling.work import Work, work_of
from workers.upscale import Engine
from workers.zoo import Served, Zoo


@dataclass(frozen=True)
class Binding:
    """A job bound to a way to make it. Without an engine it is plain resampling."""

    decision: Decision
    work: Work
    engine: Engine | None
    expected_db: float | None


def bind_job(job: Job, zoo: Zoo, costs: CostModel, slack_ms: float) -> Binding:
    """Choose how to make a job with `slack_ms` left until its deadline.

    Raises UnknownModel, UnknownWidth and, for on_miss=reject, DeadlineExceeded.
    """
    served = zoo.get(job.model)
    if served is None:
        raise UnknownModel(f"This worker has no model {job.model!r}.")
    work = work_of(job, served.tiling)
    pinned = _pinned(job, served)
    decision = bind(served.rungs, costs, work, slack_ms, pinned, job.on_miss)
    if decision is None:
        raise DeadlineExceeded
    if decision.rung == FLOOR:
        return Binding(decision, work, None, None)
    width = decision.rung.width
    scale = math.sqrt(job.scale_h * job.scale_w)
    return Binding(decision, work, served.at(width), served.entry.expected_db(width, scale))


def _pinned(job: Job, served: Served) -> Rung | None:
    if job.pinned_width is None:
        return None
    try:
        return Rung(job.model, served.entry.at(job.pinned_width).width)
    except KeyError as error:
        raise UnknownWidth(f"{job.model} has no width {job.pinned_width:g}.") from error
