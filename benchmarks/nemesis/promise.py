"""When an accepted job has ended at the latest, by the faults of its time."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.nemesis.faults import LEASE_S, Kind

MOST_RUNS = 3
"""Workers that may be lost with a job before it is given up."""
UNDISTURBED_S = 10.0
"""Beyond the budget, without a fault: a prediction that was too short, on a machine that calibrated
nothing else and runs everything of a trial on its cores."""
RESTART_S = 15.0
"""Until a killed process is warm again on a busy machine."""
DELIVERY_S = 16.0
"""How long a worker sends a result again (`jobs.outages`) before the job is run again."""
RECOVERY_S = {
    Kind.WORKER_KILL: LEASE_S + RESTART_S,
    Kind.WORKER_STOP: LEASE_S + RESTART_S,
    Kind.GATEWAY_KILL: 0.0,
    Kind.GATEWAY_STOP: 0.0,
    Kind.REDIS_KILL: DELIVERY_S,
    Kind.CUT: DELIVERY_S,
    Kind.PARTITION: LEASE_S + DELIVERY_S,
    Kind.UNHEARD: LEASE_S + DELIVERY_S,
    Kind.UNANSWERED: LEASE_S + DELIVERY_S,
    Kind.SLOW: LEASE_S,
    Kind.DISK_FULL: DELIVERY_S,
    Kind.OVERTAKEN: LEASE_S + RESTART_S,
    Kind.TWO_RESULTS: LEASE_S + DELIVERY_S,
    Kind.LATE_RESULT: LEASE_S + DELIVERY_S,
    Kind.UNWANTED_RESULT: LEASE_S + DELIVERY_S,
    Kind.STALL: LEASE_S + RESTART_S,
    Kind.STARVED: LEASE_S,
}
"""Beyond the length of the fault itself. Jobs outlive gateways."""


def allowed_s(faults: Iterable[tuple[Kind, float]]) -> float:
    """Return how many seconds after its deadline a job may end, by the kinds and lengths in seconds
    of the faults from its submission to its end."""
    return UNDISTURBED_S + sum(RECOVERY_S[kind] + length_s for kind, length_s in faults)
