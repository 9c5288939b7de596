"""The arithmetic of a latency budget. All values are milliseconds.

    end of upload    latest start                        deadline
    |                      |                                 |
    |<---- start slack --->|<---- cost ---->|<-- overhead -->|
    |<----------------------- budget ----------------------->|

Waiting jobs are sorted by their latest start on the queue's clock: `wait` in
`lua/shared/backlog.lua` puts them into the sorted set `pending`, and `lua/claim.lua` takes the
first one, or that of a client below its part of the workers.

The budget covers everything from the end of the upload to the complete answer. The overhead is what
gateway and queue add to a run, so a run must end that long before the deadline.

A picture is late when more time than its budget has elapsed since the end of its upload. Three
clocks measure that time:

- the queue's, at each claim (`is_late` in `lua/shared/budget.lua`, by the deadline on that clock);
- a worker's, after a run: the queue's time of the claim plus the measured run
  (`Claim.elapsed_ms`);
- the gateway's, at the answer: the caller's own view.

The first two see less than the whole, and leave the overhead out: they reject only what is late for
certain.
"""

from __future__ import annotations


def smallest_budget_ms(cost_ms: float, overhead_ms: float) -> float:
    """Return the smallest budget that a run of `cost_ms` can meet without waiting."""
    return overhead_ms + cost_ms


def start_slack_ms(budget_ms: float, cost_ms: float, overhead_ms: float) -> float:
    """Return for how long a run of `cost_ms` may wait before it must start; negative when the
    budget is too small for it. `lua/shared/budget.lua` has the same."""
    return budget_ms - overhead_ms - cost_ms


def run_slack_ms(slack_ms: float, overhead_ms: float) -> float:
    """Return the time left for a run when the deadline is `slack_ms` away; negative when late."""
    return slack_ms - overhead_ms


def elapsed_ms(now_ms: float, deadline_ms: float, budget_ms: float) -> float:
    """Return the time from the end of the upload to `now_ms`, on the clock of the deadline."""
    return now_ms - deadline_ms + budget_ms


def is_late(elapsed_ms: float, budget_ms: float) -> bool:
    """Return whether a budget is exceeded `elapsed_ms` after the end of the upload. A picture that
    is complete exactly at its deadline is in time."""
    return elapsed_ms > budget_ms
