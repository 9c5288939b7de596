"""Clients against each other: what one may put into the queue while others are active, and whose
jobs go first.

Each client has a part of the workers: its weight over the weights of all that were active within
`ACTIVE_MS`. A client that is alone has no part, and nothing here changes a decision about its jobs.
The queue decides by `jobs/lua/shared/shares.lua`, which has the same arithmetic; tests compare the
two. `policy.bind` has what the part means for widths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jobs.backlog import Group
from jobs.budget import start_slack_ms
from scheduling.load import SLOT_MS, Load, below_part, run_limits
from scheduling.options import Option

ACTIVE_MS = 10_000.0
"""A client is active for so long after each job that it sends, accepted or not: as long as demand
is averaged over."""

NOTHING_MS = 1e-3
"""Less than this is no job: costs are summed up in whole microseconds."""


def over_share_ms(
    options: tuple[Option, ...], budget_ms: float, load: Load, overhead_ms: float = 0.0
) -> float:
    """Return how long a job's client must wait until its own jobs, this one among them and all at
    their cheapest, could begin in time on its part of the workers alone; 0 if they can now.

    So what a client has waiting leaves the others their parts. `options` are what the caller
    accepts, at least one.
    """
    if load.own is None:
        return 0.0
    cheapest_ms = options[0].safe_ms
    slack_ms = start_slack_ms(budget_ms, cheapest_ms, overhead_ms)
    workers = load.own.part * load.workers
    excess = _work_ms(load.own.waiting, load.now_ms + slack_ms) - workers * slack_ms
    for _, left in _left_ms(load, slack_ms):
        excess = max(excess, cheapest_ms - left)
    return max(0.0, excess / workers)


def share_slack_ms(cheapest_ms: float, slack_ms: float, load: Load) -> float:
    """Return the least time until its latest start, from `slack_ms` on, with which a job that costs
    `cheapest_ms` is within its client's part of the workers: then `over_share_ms` is 0."""
    if load.own is None:
        return slack_ms
    workers = load.own.part * load.workers
    while True:
        work = _work_ms(load.own.waiting, load.now_ms + slack_ms)
        delayed = [start for start, left in _left_ms(load, slack_ms) if left < cheapest_ms]
        if work > workers * slack_ms:
            # Later by a trifle, so that rounding does not leave it beyond its part.
            slack_ms = work / workers + NOTHING_MS
        elif delayed:
            slack_ms = delayed[-1] - load.now_ms
        else:
            return slack_ms


def _work_ms(waiting: Sequence[Group], until_ms: float) -> float:
    """Return the cost of the jobs with a latest start up to a moment."""
    return sum(group.cheapest_ms for group in waiting if group.latest_start_ms <= until_ms)


def _left_ms(load: Load, slack_ms: float) -> Iterator[tuple[float, float]]:
    """Yield, for each of the client's groups that must start after a job with this slack, its
    latest start and the ms that its jobs leave that one on the client's part of the workers. Jobs
    that are beyond the part in any case are no reason to refuse it, and are left out."""
    assert load.own is not None
    workers, work = load.own.part * load.workers, 0.0
    for start_ms, group_ms, *_ in load.own.waiting:
        work += group_ms
        left = workers * (start_ms + SLOT_MS - load.now_ms) - work
        if start_ms > load.now_ms + slack_ms and group_ms > 0 and left >= 0:
            yield start_ms, left


def goes_first(job: Group, load: Load) -> bool:
    """Return whether an idle worker may run a waiting job before all that must start earlier.

    It may where its client is below its part of the workers, and all of those would be in time
    behind a run of its narrowest network. The job is one of the waiting ones of the `load`, and
    given as a group of its own, with its exact latest start.
    """
    if not below_part(load):
        return False
    ahead = tuple(_ahead_of(job, load.waiting))
    cost_ms = max(job.cheapest_ms, job.narrowest_ms)
    return cost_ms <= run_limits(replace(load, waiting=ahead)).longest_ms


def _ahead_of(job: Group, waiting: Sequence[Group]) -> Iterator[Group]:
    """Yield the groups up to a job's latest start, without the job, which is in the last one."""
    ahead = [group for group in waiting if group.latest_start_ms <= job.latest_start_ms]
    for place, group in enumerate(ahead, start=1):
        others_ms = group.cheapest_ms - (job.cheapest_ms if place == len(ahead) else 0.0)
        if others_ms > NOTHING_MS:
            yield Group(group.latest_start_ms, others_ms, group.narrowest_ms)
