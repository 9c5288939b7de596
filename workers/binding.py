"""The last decision before a run: the rung, from the slack and the backlog at that moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.backlog import Backlog, Group
from jobs.errors import DeadlineExceeded, UnknownModel, UnknownWidth
from jobs.job import JobRequest, OnMiss
from models.expectation import Expectation
from scheduling.cost_model import CostModel
from scheduling.load import Load
from scheduling.options import options_of
from scheduling.policy import Decision, bind, cheapest
from scheduling.rungs import FLOOR
from scheduling.tiling import Tiling
from scheduling.work import Work, work_of
from workers.loaded_model import Zoo
from workers.upscale import Engine


@dataclass(frozen=True)
class Binding:
    """A job bound to an option. Without an engine it is plain resampling."""

    decision: Decision
    work: Work
    engine: Engine | None
    costs: CostModel
    """The costs of contended or uncontended runs: the option was chosen by them, and its measured
    times update them."""


@dataclass(frozen=True)
class SuspendedRun:
    """A run that is suspended between two tiles, or goes on beside another: work that waits for
    this worker."""

    end_ms: float
    """When the queue expects it to end, on the queue's clock."""
    spare_ms: float
    """How long it can be suspended and still meet its deadline."""
    cheapest_ms: float
    """Predicted cost of the rest at its narrowest width, with a margin."""
    expected_ms: float
    """The same without the margin."""
    held_bytes: int
    """Most memory that it holds meanwhile; not known of one that goes on."""
    goes_on: bool = False
    """Whether it is decoded or encoded meanwhile."""
    before: SuspendedRun | None = None
    """The run that this one had preempted itself."""

    @property
    def depth(self) -> int:
        """How many runs of this worker have been begun, and not ended."""
        return 1 + (self.before.depth if self.before is not None else 0)

    def waiting_in(self, backlog: Backlog) -> Backlog:
        """Return the backlog with this picture among the jobs that wait, not among the runs, and
        with the one before it."""
        if self.before is not None:
            backlog = self.before.waiting_in(backlog)
        running = list(backlog.running)
        if running:
            running.remove(min(running, key=lambda end: abs(end - self.end_ms)))
        rest = Group(backlog.now_ms + self.spare_ms, self.cheapest_ms, self.expected_ms)
        waiting = tuple(sorted((*backlog.waiting, rest)))
        return replace(backlog, running=tuple(running), waiting=waiting)


def bind_job(
    job: JobRequest,
    zoo: Zoo,
    costs: CostModel,
    slack_ms: float,
    load: Load,
    expectation: Expectation | None = None,
) -> Binding:
    """Choose how to run a job with `slack_ms` left until its deadline, beside the `load`.
    `expectation` as for `options_of`.

    Raises UnknownModel, UnknownWidth and, for on_miss=reject, DeadlineExceeded.
    """
    models = {name: served.as_run for name, served in zoo.items()}
    costs = costs.under(load.contended)
    options = options_of(job, models, costs, expectation)
    if not options:
        raise _nothing_fits(job, zoo)
    pinned = job.pinned_width is not None
    decision = bind(options, slack_ms, load, pinned)
    if decision is None:
        if job.on_miss is OnMiss.REJECT:
            raise DeadlineExceeded
        decision = cheapest(options, pinned)
    rung = decision.option.rung
    if rung == FLOOR:
        return Binding(decision, work_of(job, Tiling()), None, costs)
    served = zoo[rung.model]
    return Binding(decision, work_of(job, served.tiling), served.at(rung.width), costs)


def _nothing_fits(job: JobRequest, zoo: Zoo) -> UnknownModel | UnknownWidth:
    if job.model is not None and job.model not in zoo:
        return UnknownModel(f"This worker has no model {job.model!r}.")
    if job.pinned_width is not None:
        return UnknownWidth(f"{job.model or 'No model'} has no width {job.pinned_width:g}.")
    return UnknownModel("This worker has no model that reaches the least quality asked for.")
