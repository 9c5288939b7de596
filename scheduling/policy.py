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
from scheduling.load import Load, RunLimits, below_part, run_limits, wait_ms
from scheduling.options import Option, Options, narrowest_network
from scheduling.rungs import FLOOR
from scheduling.worth import Worth

ANTICIPATION = 1.1
"""Part of all workers that the incoming work may take at the price of a run: it comes in bursts,
and worker time between them would be lost. Tuned with `anysr simulate`."""
SHARE = 0.5
"""Part of the free worker time that the waiting jobs and a run may take at its price: the rest is
for jobs that come meanwhile, which would otherwise have to be resampled. Tuned with `anysr
simulate`."""
PATIENCE = 0.1
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


def bind(options: Options, slack_ms: float, load: Load, pinned: bool = False) -> Decision | None:
    """Choose the best option that meets this deadline, leaves every waiting job feasible at its
    cheapest cost, and is worth its time.

    It is worth it if all other work could be done, each picture as wide as the same price pays for:
    the waiting jobs in `SHARE` of the free worker time, and the incoming work by `ANTICIPATION`
    times the workers, unless it can wait: see `PATIENCE`. `options` are what the caller accepts,
    at least one. Returns None when not even the cheapest is expected in time.
    """
    network = narrowest_network(options)
    floor = options[0] if load.rescues and options[0].rung == FLOOR else None
    in_time = [o for o in options if _needed_ms(o, network, floor) <= slack_ms]
    if not in_time:
        # The job was admitted with a margin, which may now be used up.
        in_time = [o for o in options[:1] if o.expected_ms <= slack_ms]
    if not in_time:
        return None
    room = _room(load)
    worth = Worth.of(options[options.index(network) :])
    others = load.mix or worth
    longest_ms = min(room.longest_ms, load.spare_ms)
    feasible = [o for o in in_time[1:] if _delay_ms(o, network) <= longest_ms]

    def best(foreseen: bool) -> Option:
        for option in reversed(feasible):
            stretch = others.stretch_at(worth.gain_of(option))
            if option is network and not room.held:
                return option
            if room.allows(option.expected_ms, stretch, foreseen):
                return option
        return in_time[0]

    chosen = best(foreseen=True)
    held_back = None
    if chosen is not in_time[-1]:
        held_back = Reason.BACKLOG if chosen is best(foreseen=False) else Reason.DEMAND
    return Decision(chosen, _reason(chosen, options, pinned, held_back))


def _needed_ms(option: Option, network: Option, floor: Option | None) -> float:
    """Return the slack that an option needs. A run that takes longer than is safe is rescued by
    resampling, where that is an option, and it needs time as well. The narrowest network needs no
    more than its expected cost and the time to resample on a quiet machine: without it the picture
    would be resampled anyway.
    """
    if floor is None or option is floor:
        return option.safe_ms
    if option is network:
        return min(option.safe_ms, option.expected_ms + floor.safe_ms)
    return option.safe_ms + floor.rescue_ms


def _delay_ms(option: Option, network: Option) -> float:
    """Return for how long a run keeps its worker from waiting jobs: the narrowest network by its
    expected cost, as in the queue's sums, because of many short runs not all are delayed."""
    return option.expected_ms if option is network else option.safe_ms


@dataclass(frozen=True)
class _Side:
    """Work of some jobs, and the worker time that there is for it."""

    limits: RunLimits
    workers: float
    demand: float
    demand_slack_ms: float

    def allows(self, run_ms: float, stretch: float, foreseen: bool) -> bool:
        """Return whether the work could be done beside a run, each picture at `stretch` times the
        cost of its narrowest network; `foreseen` says whether the incoming work counts."""
        if run_ms > self.limits.longest_at(stretch, SHARE):
            return False
        patient = run_ms <= PATIENCE * self.demand_slack_ms
        return not foreseen or patient or self.demand * stretch <= ANTICIPATION * self.workers


@dataclass(frozen=True)
class _Room:
    """What other work leaves to a run."""

    longest_ms: float
    sides: tuple[_Side, ...]
    """One of them has to allow the run."""
    held: bool = False
    """Whether the client has used more than its part, so that even the narrowest network must be
    allowed."""

    def allows(self, run_ms: float, stretch: float, foreseen: bool) -> bool:
        """Return whether a run may take so long."""
        return any(side.allows(run_ms, stretch, foreseen) for side in self.sides)


def _room(load: Load) -> _Room:
    """Return what other work leaves to a run.

    While several clients are active, one that has used less than its part of the workers is served
    as if it were alone, and leaves the others' jobs in time; one that has used more is held to its
    part.
    """
    limits = run_limits(load, one_worker=below_part(load))
    everyone = _Side(limits, load.workers, load.demand, load.demand_slack_ms)
    if load.own is None:
        return _Room(limits.longest_ms, (everyone,))
    part = 1.0 if below_part(load) else load.own.part
    own = run_limits(replace(load, waiting=load.own.waiting, own=None), part=part)
    alone = _Side(own, part * load.workers, load.own.demand, load.demand_slack_ms)
    if below_part(load):
        return _Room(limits.longest_ms, (everyone, alone))
    return _Room(min(limits.longest_ms, own.longest_ms), (alone,), held=True)


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


def go_on(left: tuple[Option, ...], slack_ms: float, rescue_ms: float) -> Option | None:
    """Choose how to finish a picture that is made in part or was suspended: the widest that is
    safe, or that is expected so early that a cheaper way, of `rescue_ms`, would still be in time if
    it took longer; else the narrowest while that is expected in time. None where only a cheaper way
    is left. `left` are as for `spare_ms`."""
    for option in reversed(left):
        if min(option.safe_ms, option.expected_ms + rescue_ms) <= slack_ms:
            return option
    return left[0] if left[0].expected_ms <= slack_ms else None


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
