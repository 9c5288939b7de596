"""Default latency budget of a request that names none: what its picture needs, within bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobs.budget import smallest_budget_ms, start_slack_ms
from jobs.job import JobRequest
from models.catalog import Catalog
from scheduling.load import Load, run_limits, wait_ms
from scheduling.options import Option
from scheduling.rungs import Rung
from scheduling.shares import share_slack_ms
from service.settings import GatewaySettings

MARGIN = 1.5
"""Factor on the safe cost of a good result: the worker that takes the picture may be slower than
the fastest, and other jobs may come first."""
PATIENCE = 10.0
"""For how many times as long as a good result takes its caller may have to wait, up to the usual
budget: for a small picture not for seconds, behind large ones that come later."""


@dataclass(frozen=True)
class DefaultBudget:
    """Bounds, in ms, of the default budget."""

    least_ms: float
    """Of a small picture."""
    usual_ms: float
    """Of one whose good result takes more than a tenth of it, and less than all."""
    most_ms: float

    def at_most(self, largest_ms: float) -> DefaultBudget:
        """Return these bounds within a caller's largest budget."""
        bounds = (self.least_ms, self.usual_ms, self.most_ms)
        return DefaultBudget(*(min(ms, largest_ms) for ms in bounds))


def upscale_default(settings: GatewaySettings) -> DefaultBudget:
    """Return the bounds for POST /upscale, whose caller waits on one connection."""
    usual_ms, least_ms = settings.default_budget_ms, settings.min_default_budget_ms
    return _bounds(least_ms, usual_ms, settings.max_default_budget_ms, settings)


def jobs_default(settings: GatewaySettings) -> DefaultBudget:
    """Return the bounds for POST /jobs, whose caller comes back."""
    usual_ms = settings.default_job_budget_ms
    return _bounds(usual_ms, usual_ms, settings.max_budget_ms, settings)


def _bounds(
    least_ms: float, usual_ms: float, most_ms: float, settings: GatewaySettings
) -> DefaultBudget:
    # The usual default wins over the bounds on both sides, up to the largest budget of all.
    ordered = min(least_ms, usual_ms), usual_ms, max(usual_ms, most_ms)
    return DefaultBudget(*(min(ms, settings.max_budget_ms) for ms in ordered))


def good_option(job: JobRequest, options: tuple[Option, ...], catalog: Catalog) -> Option:
    """Return the cheapest option that is expected to be as good as the model and width that the
    job names, by default the default model at full width; the best option if none is.

    `options` are what the caller accepts, at least one; the default model is not among them where
    a cheaper one is better. Raises KeyError for a model that is not in the catalog.
    """
    entry = catalog.get(job.model or catalog.default)
    width = entry.widths[-1].width if job.pinned_width is None else job.pinned_width
    wanted = Rung(entry.name, width)
    wanted_db = entry.expected_db(width, math.sqrt(job.scale_h * job.scale_w), job.strength)

    def as_good(option: Option) -> bool:
        if option.rung == wanted:
            return True
        return option.db is not None and wanted_db is not None and option.db >= wanted_db

    return next(filter(as_good, options), options[-1])


def wait_within(
    budget_ms: float, options: tuple[Option, ...], load: Load, overhead_ms: float
) -> float:
    """Return the ms until a job of this budget would begin: behind all jobs with an earlier latest
    start."""
    slack_ms = budget_ms - overhead_ms - options[0].safe_ms
    return wait_ms(load, load.now_ms + slack_ms)


def first_budget_ms(bounds: DefaultBudget, run_ms: float) -> float:
    """Return the default budget of a picture whose good result takes `run_ms`, with a margin, where
    none waits and the usual budget is enough."""
    return min(max(bounds.least_ms, float(math.ceil(PATIENCE * run_ms))), bounds.usual_ms)


def default_budget_ms(
    bounds: DefaultBudget,
    good: Option,
    options: tuple[Option, ...],
    load: Load,
    overhead_ms: float,
) -> float:
    """Return the smallest budget from `first_budget_ms` on that has room for `good`, with a margin,
    behind the jobs that go before it, makes none late that would go after it, and is within its
    client's part of the workers. Never below what an idle service could meet, unless the upper
    bound is.

    A longer budget lets more jobs go first, so it grows until it has room for all of them.
    """
    run_ms = MARGIN * good.safe_ms
    own_ms, budget_ms = smallest_budget_ms(run_ms, overhead_ms), first_budget_ms(bounds, run_ms)
    while budget_ms < bounds.most_ms:
        waits_ms = wait_within(budget_ms, options, load, overhead_ms)
        needed_ms = float(math.ceil(own_ms + waits_ms))
        if needed_ms <= budget_ms:
            needed_ms = _budget_delaying_no_job(budget_ms, options, load, overhead_ms)
        if needed_ms <= budget_ms:
            needed_ms = _budget_within_share(budget_ms, options, load, overhead_ms)
        if needed_ms <= budget_ms:
            break
        budget_ms = needed_ms
    return min(budget_ms, bounds.most_ms)


def _budget_delaying_no_job(
    budget_ms: float, options: tuple[Option, ...], load: Load, overhead_ms: float
) -> float:
    """Return the budget if a job with it makes no other one late, else one by which the next job
    goes first."""
    cost_ms = options[0].safe_ms
    start_ms = load.now_ms + start_slack_ms(budget_ms, cost_ms, overhead_ms)
    if cost_ms <= run_limits(load, from_ms=start_ms).longest_harmless_ms:
        return budget_ms
    following_ms = next(start for start, *_ in load.waiting if start > start_ms)
    needed_ms = smallest_budget_ms(cost_ms, overhead_ms) + following_ms - load.now_ms
    return float(math.ceil(max(needed_ms, budget_ms + 1)))


def _budget_within_share(
    budget_ms: float, options: tuple[Option, ...], load: Load, overhead_ms: float
) -> float:
    """Return the smallest budget from this one on with which a job is within its client's part."""
    cost_ms = options[0].safe_ms
    slack_ms = start_slack_ms(budget_ms, cost_ms, overhead_ms)
    more_ms = share_slack_ms(cost_ms, slack_ms, load) - slack_ms
    return budget_ms if more_ms <= 0 else float(math.ceil(budget_ms + more_ms))
