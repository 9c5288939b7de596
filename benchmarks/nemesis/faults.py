"""The faults of a run: a pure function of its seed.

Each kind comes at its own rate, from a generator of its own: a longer run begins with the faults of
a shorter one, and a new kind leaves those of the others as they are. Most come as a Poisson
process, whoever they meet. *Aimed* ones come regularly, and wait for a worker with a job
(`aiming`). That trigger is part of their kind, so a seed replays the same faults.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

GATEWAYS, WORKERS = 2, 3
LEASE_S = 1.5
"""Lease of a job in these runs."""
SETTLING_S = 3.0
"""Before the first fault."""


class Kind(StrEnum):
    """What is done to the service."""

    WORKER_KILL = "worker killed"
    WORKER_STOP = "worker stopped past its lease"
    GATEWAY_KILL = "gateway killed"
    GATEWAY_STOP = "gateway stopped"
    REDIS_KILL = "Redis killed"
    CUT = "connections cut"
    PARTITION = "partition from Redis"
    UNHEARD = "requests to Redis held up"
    UNANSWERED = "answers of Redis held up"
    SLOW = "connection slowed"
    DISK_FULL = "disk of Redis full"
    OVERTAKEN = "worker stopped until another runs its job"
    TWO_RESULTS = "result held up until another worker runs its job"
    LATE_RESULT = "result held up until its job has ended"
    UNWANTED_RESULT = "result held up until its job is withdrawn"
    STALL = "everything stood still"
    """Not drawn: the machine, or whoever suspends the run."""
    STARVED = "worker without a core"
    """Not drawn: the machine has too much to do."""


@dataclass(frozen=True)
class Rate:
    """How often a kind of fault comes, and how long one lasts."""

    per_minute: float
    shortest_s: float = 0.0
    longest_s: float = 0.0
    """Of an aimed one: how long it waits at most, once it has met a worker."""


RATES = {
    Kind.WORKER_KILL: Rate(9.0),
    Kind.WORKER_STOP: Rate(3.0, 1.3 * LEASE_S, 3.0 * LEASE_S),
    Kind.GATEWAY_KILL: Rate(1.2),
    Kind.GATEWAY_STOP: Rate(0.6, 0.5, 4.0),
    Kind.REDIS_KILL: Rate(1.2, 0.1, 2.0),
    Kind.CUT: Rate(2.0),
    Kind.PARTITION: Rate(1.5, 0.5, 3.0 * LEASE_S),
    Kind.UNHEARD: Rate(0.7, 0.5, 3.0 * LEASE_S),
    Kind.UNANSWERED: Rate(0.7, 0.5, 3.0 * LEASE_S),
    Kind.SLOW: Rate(0.5, 2.0, 6.0),
    Kind.DISK_FULL: Rate(0.5, 0.5, 3.0),
    Kind.OVERTAKEN: Rate(2.0, 5.0 * LEASE_S, 6.0 * LEASE_S),
    Kind.TWO_RESULTS: Rate(3.0, 5.0 * LEASE_S, 6.0 * LEASE_S),
    Kind.LATE_RESULT: Rate(3.0, 5.0 * LEASE_S, 6.0 * LEASE_S),
    Kind.UNWANTED_RESULT: Rate(2.0, 5.0 * LEASE_S, 6.0 * LEASE_S),
}
AIMED = frozenset(
    {Kind.OVERTAKEN, Kind.TWO_RESULTS, Kind.LATE_RESULT, Kind.UNWANTED_RESULT},
)
UNEVEN = 0.25
"""Largest deviation of the time between two aimed faults of a kind, as a part of it."""
ON_WORKER = frozenset({Kind.WORKER_KILL, Kind.WORKER_STOP})
ON_GATEWAY = frozenset({Kind.GATEWAY_KILL, Kind.GATEWAY_STOP})
ON_REDIS = frozenset({Kind.REDIS_KILL, Kind.DISK_FULL})
ON_CONNECTION = frozenset(RATES) - ON_WORKER - ON_GATEWAY - ON_REDIS - AIMED


@dataclass(frozen=True)
class Fault:
    """One fault. `target` counts the workers, the gateways, or for a connection to Redis the
    gateways and then the workers; an aimed one finds its own."""

    at_s: float
    kind: Kind
    target: int
    seconds: float
    """How long it lasts; 0 for what is over at once."""
    resets: bool
    """Whether a partition ends with its connections reset; else all that was held up arrives."""

    def __str__(self) -> str:
        return f"{self.at_s:.2f} s: {self.kind} ({self.target}), {self.seconds:.2f} s"


@dataclass(frozen=True)
class Plan:
    """What is drawn for a run."""

    seed: int
    minutes: float
    times: float = 1.0
    """How many times as many faults come as by RATES."""
    longer: float = 1.0
    """How many times as long they last."""
    only: frozenset[Kind] = frozenset(RATES)
    until_broken: bool = False
    """Whether the run ends at the first promise that is seen broken."""


def schedule(plan: Plan) -> list[Fault]:
    """Return the faults of a run, in their order."""
    faults = [fault for kind in plan.only for fault in _of_kind(kind, plan)]
    return sorted(faults, key=lambda fault: (fault.at_s, fault.kind))


def _of_kind(kind: Kind, plan: Plan) -> Iterator[Fault]:
    drawn, rate = random.Random(f"{plan.seed} {kind}"), RATES[kind]
    gaps = (_even_gaps if kind in AIMED else _random_gaps)(drawn, plan.times * rate.per_minute)
    at_s = SETTLING_S
    while True:
        at_s += next(gaps)
        lasts = plan.longer * drawn.uniform(rate.shortest_s, rate.longest_s)
        target, resets = drawn.randrange(_targets(kind)), drawn.random() < 0.5
        if at_s >= 60.0 * plan.minutes:
            return
        yield Fault(at_s, kind, target, lasts, resets)


def _random_gaps(drawn: random.Random, per_minute: float) -> Iterator[float]:
    while True:
        yield drawn.expovariate(per_minute / 60.0)


def _even_gaps(drawn: random.Random, per_minute: float) -> Iterator[float]:
    """Yield seconds between faults that come regularly; the first one anywhere in its period."""
    period_s = 60.0 / per_minute
    yield drawn.uniform(0.0, period_s)
    while True:
        yield period_s * drawn.uniform(1.0 - UNEVEN, 1.0 + UNEVEN)


def _targets(kind: Kind) -> int:
    if kind in ON_REDIS or kind in AIMED:
        return 1
    if kind in ON_CONNECTION:
        return GATEWAYS + WORKERS
    return WORKERS if kind in ON_WORKER else GATEWAYS
