"""Admission, and binding of the width at the claim.

All functions are pure: no queue, no clock, no network. `admit` is what the gateway decides, and
`bind` what the worker does; the simulator runs both. The queue decides by `late_ms`, in Lua:
`jobs/lua/shared/lateness.lua` has the same arithmetic. Here it is for the simulator, and tests
compare the two.

Jobs are claimed in the order of their latest start, which is fixed when they arrive. No job
starves, because the latest starts of new jobs lie later and later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.budget import smallest_budget_ms, start_slack_ms
from jobs.job import Reason
from scheduling.load import (
    Load,
    RunLimits,
    below_part,
    run_limits,
    sustained_stretch,
    wait_ms,
)
from scheduling.options import Option, narrowest_network
from scheduling.rungs import FLOOR

ANTICIPATION = 1.4
"""Factor by which a run may exceed the sustained stretch: demand comes in bursts, and worker time
between them would be lost. Tuned with `anysr simulate`."""
SHARE = 0.8
"""Part of the waiting jobs' stretch that a run may take: the rest is for jobs that come meanwhile,
which would otherwise have to be resampled. Tuned with `anysr simulate`."""
PATIENCE = 0.2
"""Part of the incoming work's slack that a run may take in any case: behind so short a run that
work is still in time. Tuned with `anysr simulate`."""

SHORT = 1 / 8
"""Part of a run's length up to which another job is short: it would wait for many times as long as
it takes, while the run ends hardly later."""


@dataclass(frozen=True)
class Decision:
    """The option to run, and the reason for it."""

    option: Option
    reason: Reason


@dataclass(frozen=True)
class Admission:
    """Whether an idle service could meet a budget."""

    smallest_ms: float
    """The smallest budget that it could meet."""
    feasible: bool
    """Whether it could meet this one."""


def admit(options: tuple[Option, ...], budget_ms: float, overhead_ms: float = 0.0) -> Admission:
    """Compare a budget with the cheapest option on an idle service. `options` are what the caller
    accepts there, at least one."""
    smallest_ms = smallest_budget_ms(options[0].safe_ms, overhead_ms)
    return Admission(smallest_ms, feasible=budget_ms >= smallest_ms)


def late_ms(
    options: tuple[Option, ...], budget_ms: float, load: Load, overhead_ms: float = 0.0
) -> float:
    """Return by how many ms a job would be late behind the jobs before it, or would make one behind
    it late; 0 if neither: then this job and all waiting ones can be in time, each at least with its
    cheapest option. `options` are what the caller accepts, at least one."""
    cheapest_ms = options[0].safe_ms
    slack_ms = start_slack_ms(budget_ms, cheapest_ms, overhead_ms)
    if slack_ms < 0:
        return -slack_ms
    if len(load.waiting) == load.yielding and len(load.running) < load.workers:
        return 0.0  # an idle worker begins it at once, and the runs keep theirs
    latest_start_ms = load.now_ms + slack_ms
    own = wait_ms(load, latest_start_ms) - slack_ms
    # Jobs that are too late in any case are no reason to refuse this one.
    others = cheapest_ms - run_limits(load, from_ms=latest_start_ms).longest_harmless_ms
    return max(0.0, own, others)


def bind(
    options: tuple[Option, ...], slack_ms: float, load: Load, pinned: bool = False
) -> Decision | None:
    """Choose the best option that meets this deadline, leaves every waiting job feasible at its
    cheapest cost, and takes no more than its share of the remaining worker time.

    The share is `SHARE` of the waiting jobs' stretch, and at most `ANTICIPATION` times the
    sustained stretch, unless the incoming work can wait: see `PATIENCE`. `options` are what the
    caller accepts, at least one. Returns None when not even the cheapest is expected in time.
    """
    network = narrowest_network(options)
    in_time = [o for o in options if _needed_ms(o, network, options[0]) <= slack_ms]
    if not in_time:
        # The job was admitted with a margin, which may now be used up.
        in_time = [o for o in options[:1] if o.expected_ms <= slack_ms]
    if not in_time:
        return None
    limits, sustained = _limits(load, network.expected_ms)
    held = load.own is not None and not below_part(load)
    share_ms = SHARE * limits.stretch * network.expected_ms
    sustained_ms = ANTICIPATION * sustained * network.expected_ms
    foreseen_ms = min(share_ms, max(sustained_ms, PATIENCE * load.demand_slack_ms))

    def best(most_ms: float) -> Option:
        chosen = in_time[0]
        for option in in_time[1:]:
            within = (option is network and not held) or option.expected_ms <= most_ms
            if within and option.safe_ms <= limits.longest_ms:
                chosen = option
        return chosen

    chosen, unforeseen = best(foreseen_ms), best(share_ms)
    held_back = None
    if chosen is not in_time[-1]:
        held_back = Reason.BACKLOG if chosen is unforeseen else Reason.DEMAND
    return Decision(chosen, _reason(chosen, options, pinned, held_back))


def _needed_ms(option: Option, network: Option, floor: Option) -> float:
    """Return the slack that an option needs. The narrowest network needs no more than its expected
    cost and then the time to resample the picture, which rescues a run that takes longer."""
    if option is network and floor.rung == FLOOR:
        return min(option.safe_ms, option.expected_ms + floor.safe_ms)
    return option.safe_ms


def _limits(load: Load, network_ms: float) -> tuple[RunLimits, float]:
    """Return the limits for a run whose narrowest network takes `network_ms`, and the sustained
    stretch.

    While several clients are active, one that has used less than its part of the workers is served
    as if it were alone, and leaves the others' jobs in time; one that has used more is held to its
    part.
    """
    limits = run_limits(load, network_ms, one_worker=below_part(load))
    sustained = sustained_stretch(load)
    if load.own is None:
        return limits, sustained
    alone = replace(load, waiting=load.own.waiting, demand=load.own.demand, own=None)
    if below_part(load):
        own = run_limits(alone, network_ms)
        stretch = max(limits.stretch, own.stretch)
        return replace(limits, stretch=stretch), max(sustained, sustained_stretch(alone))
    part = load.own.part
    own = run_limits(alone, network_ms, part=part)
    longest_ms = min(limits.longest_ms, own.longest_ms)
    own = replace(own, longest_ms=longest_ms)
    return own, part * sustained_stretch(alone)


def cheapest(options: tuple[Option, ...], pinned: bool = False) -> Decision:
    """Choose the cheapest option, for a caller who also accepts a late picture."""
    return Decision(options[0], _reason(options[0], options, pinned, None))


def spare_ms(left: tuple[Option, ...], slack_ms: float) -> float:
    """Return the ms for which a picture may stay suspended and still be in time.

    `left` are the options to finish it, narrowest first; see `options_left`.
    """
    return max(0.0, slack_ms - left[0].safe_ms)


def short_ms(run_ms: float) -> float:
    """Return the cost of a job's narrowest network up to which it goes first during a run of
    `run_ms` in all, also if it could wait for the run's end."""
    return SHORT * run_ms


def go_on(left: tuple[Option, ...], slack_ms: float) -> Option:
    """Choose how to finish a picture that is made in part or was suspended: at its width while that
    is expected in time, else at the widest that is safe, else at the narrowest. `left` are as for
    `spare_ms`."""
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
