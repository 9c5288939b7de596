"""What a run found, from the files of its folder alone: also of one that still runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.soak.folder import OUTCOMES, PAUSES, plan_of
from benchmarks.soak.outcomes import Outcome, read_outcomes
from benchmarks.soak.pauses import Pause, overlaps, read_pauses
from benchmarks.soak.plan import JOB_TTL_S, RESULT_TTL_S, Plan
from benchmarks.soak.processes import ProcessSample, Role
from benchmarks.soak.samples import Moment, read_processes, read_stores
from benchmarks.soak.slopes import Slope, slopes_of
from benchmarks.soak.standing import Standing, standing_of

KEPT_S = {
    "result_expired": RESULT_TTL_S,
    "job_not_found": JOB_TTL_S,
    "batch_not_found": JOB_TTL_S,
}
"""How long what an answer says is gone was kept, in seconds."""
KEPT_ROLES = (Role.GATEWAY, Role.WORKER, Role.REDIS)
"""Roles whose processes live as long as the service. A decoder is replaced when a job is withdrawn
while its picture is decoded."""


@dataclass(frozen=True)
class WayCount:
    """What became of the requests of one kind."""

    way: str
    requests: int
    fine: int
    refused: int
    late: int
    """Of the fine ones, those whose job has ended after its deadline by the service's clock."""


@dataclass(frozen=True)
class Verdict:
    """Everything that is reported."""

    plan: Plan
    seconds: float
    """Until the last sample."""
    cores: float
    """Processor time of the service, in cores, in that time."""
    pauses: tuple[Pause, ...]
    ways: tuple[WayCount, ...]
    faults: tuple[Outcome, ...]
    unseen: int
    """Faults of callers that were suspended meanwhile, which count for nothing."""
    replaced: dict[str, int]
    """Processes beyond the first, by role."""
    slopes: tuple[Slope, ...]
    standing: tuple[Standing, ...]

    @property
    def broken(self) -> list[str]:
        """A sentence for each limit that is broken."""
        return [
            *(str(slope) for slope in self.slopes if slope.broken),
            *(str(standing) for standing in self.standing if standing.leaked),
            *(f"{role} was replaced" for role in KEPT_ROLES if self.replaced.get(role)),
            *(f"{fault.way}, request {fault.number}: {fault.result}" for fault in self.faults),
        ]


def verdict_of(folder: Path) -> Verdict:
    """Return what the run of a folder has found so far. Raises FileNotFoundError."""
    plan = plan_of(folder)
    processes, stores = read_processes(folder), read_stores(folder)
    outcomes, pauses = read_outcomes(folder / OUTCOMES), read_pauses(folder / PAUSES)
    seconds = stores[-1].at_s if stores else 0.0
    faults = [outcome for outcome in outcomes if outcome.fault and not _had_expired(outcome)]
    seen = [fault for fault in faults if not overlaps(pauses, fault.began, fault.ended)]
    return Verdict(
        plan=plan,
        seconds=seconds,
        cores=_cores(processes, seconds),
        pauses=tuple(pauses),
        ways=tuple(_ways(outcomes)),
        faults=tuple(seen),
        unseen=len(faults) - len(seen),
        replaced=_replaced(processes),
        slopes=tuple(slopes_of(plan, processes)),
        standing=tuple(standing_of(plan, processes, stores)),
    )


def _had_expired(outcome: Outcome) -> bool:
    """Return whether a caller asked for a picture or a job later than these are kept: of the first
    ones of a batch that takes longer than that."""
    kept_s = KEPT_S.get(outcome.result.rpartition(", ")[2])
    return kept_s is not None and outcome.ended - outcome.began > kept_s


def _cores(processes: Iterable[Moment[ProcessSample]], seconds: float) -> float:
    """Return the mean load of the service since the first sample."""
    first, last = dict[int, float](), dict[int, float]()
    for moment in processes:
        first.setdefault(moment.sample.pid, moment.sample.cpu_s)
        last[moment.sample.pid] = moment.sample.cpu_s
    return sum(last[pid] - first[pid] for pid in first) / seconds if seconds else 0.0


def _replaced(processes: Iterable[Moment[ProcessSample]]) -> dict[str, int]:
    """Return how many processes of a role came after those that lived at the first sample."""
    moments = list(processes)
    first = {m.sample.pid for m in moments if m.at_s == moments[0].at_s}
    later = {(m.sample.role, m.sample.pid) for m in moments if m.sample.pid not in first}
    return dict(Counter(role for role, _ in later))


def _ways(outcomes: Sequence[Outcome]) -> Iterable[WayCount]:
    for way in sorted({outcome.way for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.way == way]
        fine = [outcome for outcome in own if outcome.result == "fine"]
        refused = sum(
            outcome.result != "fine" and (not outcome.fault or _had_expired(outcome))
            for outcome in own
        )
        yield WayCount(way, len(own), len(fine), refused, sum(one.late for one in fine))
