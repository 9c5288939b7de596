"""What is decided, at the gateway and at the claim: facts in, decision and reason out.

All functions are pure and know nothing of queues, clocks or networks. The same ones run in the
gateway, in the worker and in the simulator.

Jobs are claimed in the order of their latest start, which is fixed when they come: whatever
comes later must start later in the end, so no job starves.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.budget import smallest_budget_ms, start_slack_ms
from jobs.job import Reason
from scheduling.backlog import Load, pressure, sustained_stretch, wait_ms
from scheduling.options import Option, narrowest_network
from scheduling.rungs import FLOOR

ANTICIPATION = 1.4
"""How far beyond the sustained stretch a job may go: demand comes in bursts, and what nobody
uses between them is lost. Found with `anysr simulate`."""
SHARE = 0.8
"""The part of the stretch of the jobs that wait which a run may take: the rest is for what comes
while they do, and would else have to be resampled. Found with `anysr simulate`."""
PATIENCE = 0.2
"""The part of the time for which what keeps coming can wait that a run may take in any case: behind
so short a run it is still in time. Found with `anysr simulate`."""


@dataclass(frozen=True)
class Decision:
    """What to run, and why."""

    option: Option
    reason: Reason


@dataclass(frozen=True)
class Admission:
    """Whether a request can be met, and what it would take."""

    smallest_ms: float
    """The smallest budget that an idle service could meet."""
    feasible: bool
    """Whether an idle service could meet this one."""
    late_ms: float = 0.0
    """By how much the jobs before it would make it late, or it those behind it; 0 if not."""


def admit(
    options: tuple[Option, ...],
    budget_ms: float,
    load: Load,
    overhead_ms: float = 0.0,
    idle_ms: float | None = None,
) -> Admission:
    """Compare a budget with the cheapest option, on an idle service and on this one.

    `options` are what the caller accepts, cheapest first, at least one; `idle_ms` is the safe cost
    of the first on an idle service, where that is another. A job with late_ms of 0 can be met, and
    all that wait still can: each in its cheapest way at least.
    """
    cheapest_ms = options[0].safe_ms
    smallest_ms = smallest_budget_ms(cheapest_ms if idle_ms is None else idle_ms, overhead_ms)
    if budget_ms < smallest_ms:
        return Admission(smallest_ms, feasible=False)
    slack_ms = start_slack_ms(budget_ms, cheapest_ms, overhead_ms)
    if slack_ms < 0:
        return Admission(smallest_ms, feasible=True, late_ms=-slack_ms)
    latest_start_ms = load.now_ms + slack_ms
    own = wait_ms(load, latest_start_ms) - slack_ms
    # What is too late in any case is no reason to refuse what could be met.
    others = cheapest_ms - pressure(load, from_ms=latest_start_ms).kept_ms
    return Admission(smallest_ms, feasible=True, late_ms=max(0.0, own, others))


def bind(
    options: tuple[Option, ...], slack_ms: float, load: Load, pinned: bool = False
) -> Decision | None:
    """Choose the best option that meets this deadline, leaves every job behind it feasible in
    its cheapest way, and takes no more than its share of the worker time that is left.

    The share is `SHARE` of the stretch at which all jobs that wait could run, and at most
    `ANTICIPATION` times that at which the work that keeps coming could, unless that work can wait:
    see `PATIENCE`. `options` are what the caller accepts, cheapest first, at least one. None when
    not even the cheapest is expected in time.
    """
    in_time = [o for o in options if o.safe_ms <= slack_ms]
    if not in_time:
        # It was let in with a margin, and the margin is there to be used up.
        in_time = [o for o in options[:1] if o.expected_ms <= slack_ms]
    if not in_time:
        return None
    network = narrowest_network(options)
    pressed = pressure(load, network.expected_ms)
    share_ms = SHARE * pressed.stretch * network.expected_ms
    sustained_ms = ANTICIPATION * sustained_stretch(load) * network.expected_ms
    foreseen_ms = min(share_ms, max(sustained_ms, PATIENCE * load.inflow_slack_ms))

    def best(most_ms: float) -> Option:
        chosen = in_time[0]
        for option in in_time[1:]:
            within = option is network or option.expected_ms <= most_ms
            if within and option.safe_ms <= pressed.room_ms:
                chosen = option
        return chosen

    chosen, unforeseen = best(foreseen_ms), best(share_ms)
    held_back = None
    if chosen is not in_time[-1]:
        held_back = Reason.BACKLOG if chosen is unforeseen else Reason.DEMAND
    return Decision(chosen, _reason(chosen, options, pinned, held_back))


def cheapest(options: tuple[Option, ...], pinned: bool = False) -> Decision:
    """Choose what is soonest done, for a caller who takes a late picture too."""
    return Decision(options[0], _reason(options[0], options, pinned, None))


def spare_ms(left: tuple[Option, ...], slack_ms: float) -> float:
    """Return for how long a picture may be set aside and still be in time.

    `left` are the ways to finish it (see `options_left`), narrowest first.
    """
    return max(0.0, slack_ms - left[0].safe_ms)


def go_on(left: tuple[Option, ...], slack_ms: float) -> Option:
    """Choose how to finish a picture that is made in part, or was set aside: as before while that
    is expected in time, else the widest that is, else the narrowest. `left` as for `spare_ms`."""
    if left[-1].expected_ms <= slack_ms:
        return left[-1]
    return next((o for o in reversed(left) if o.safe_ms <= slack_ms), left[0])


def _reason(
    chosen: Option, options: tuple[Option, ...], pinned: bool, held_back: Reason | None
) -> Reason:
    if pinned:
        return Reason.PINNED
    if chosen.rung == FLOOR:
        return Reason.FLOOR
    if held_back is not None:
        return held_back
    return Reason.WIDEST if chosen is options[-1] else Reason.SLACK
