"""Clients against each other: what one may put into the queue while others are active.

Each client has a part of the workers: its weight over the weights of all that were active within
`ACTIVE_MS`. A client that is alone has no part, and nothing here changes a decision about its jobs.
The queue decides by `jobs/lua/shared/shares.lua`, which has the same arithmetic; tests compare the
two. `policy.bind` has what the part means for widths.
"""

from __future__ import annotations

from jobs.budget import start_slack_ms
from scheduling.load import SLOT_MS, Load
from scheduling.options import Option

ACTIVE_MS = 10_000.0
"""A client is active for so long after each job that it sends, accepted or not: as long as demand
is averaged over."""


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
    work = 0.0
    for start_ms, group_ms, *_ in load.own.waiting:
        if start_ms <= load.now_ms + slack_ms:
            work += group_ms
    excess = work - workers * slack_ms
    for start_ms, group_ms, *_ in load.own.waiting:
        if start_ms > load.now_ms + slack_ms and group_ms > 0:
            work += group_ms
            left = workers * (start_ms + SLOT_MS - load.now_ms) - work
            # Jobs that are beyond the part in any case are no reason to refuse this one.
            if left >= 0:
                excess = max(excess, cheapest_ms - left)
    return max(0.0, excess / workers)
