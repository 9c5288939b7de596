"""What stands at the end of each rest, when everything that expires has: what is more there at the
end of the run than after its first quarter has leaked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.soak.plan import Phase, Plan
from benchmarks.soak.processes import ProcessSample
from benchmarks.soak.samples import Moment
from benchmarks.soak.stores import StoreSample

REDIS_NOISE = 1 << 20
"""Bytes by which what Redis allocates for itself differs between two rests."""
OF_PROCESSES: dict[str, Callable[[ProcessSample], float]] = {
    "processes": lambda sample: 1,
    "open files": lambda sample: sample.files,
    "sockets": lambda sample: sample.sockets,
    "threads": lambda sample: sample.threads,
}
OF_STORES: dict[str, tuple[Callable[[StoreSample], float], float | None]] = {
    "keys in Redis": (lambda sample: sample.keys, 0),
    "of which never expire": (lambda sample: sample.lasting_keys, 0),
    "connections to Redis": (lambda sample: sample.connections, 0),
    "bytes of Redis": (lambda sample: sample.redis_bytes, REDIS_NOISE),
    "temporary files": (lambda sample: sample.temporary_files, 0),
    "bytes of temporary files": (lambda sample: sample.temporary_bytes, None),
    "other files": (lambda sample: sample.other_files, 0),
    "new names in shared memory (whole machine)": (lambda sample: sample.shared_memory, None),
}
"""With how much more is no leak; None for what is only shown."""


@dataclass(frozen=True)
class Standing:
    """One count."""

    role: str
    """Of the processes; empty for what is kept beside them."""
    what: str
    counts: tuple[float, ...]
    """The median of each rest's end."""
    allowed: float | None
    """How much more at the end is no leak; None if it is only shown."""

    def __str__(self) -> str:
        name = f"{self.role}, {self.what}" if self.role else self.what
        return f"{name}: {', '.join(f'{count:,.0f}' for count in self.counts)}"

    @property
    def leaked(self) -> bool:
        """Whether there is more after the last rest than after the first."""
        if self.allowed is None or len(self.counts) < 2:
            return False
        return self.counts[-1] > self.counts[0] + self.allowed


def standing_of(
    plan: Plan,
    processes: Sequence[Moment[ProcessSample]],
    stores: Sequence[Moment[StoreSample]],
) -> list[Standing]:
    """Return everything that was counted at the ends of rests."""
    found = []
    for role in dict.fromkeys(moment.sample.role for moment in processes):
        own = [moment for moment in processes if moment.sample.role == role]
        for what, count in OF_PROCESSES.items():
            found.append(Standing(role, what, _medians(plan, _sums(own, count)), 0))
    for what, (count_of, allowed) in OF_STORES.items():
        values = [(m.at_s, m.phase, count_of(m.sample)) for m in stores]
        found.append(Standing("", what, _medians(plan, values), allowed))
    return found


Value = tuple[float, str, float]
"""Moment, phase, count."""


def _sums(
    moments: Iterable[Moment[ProcessSample]], count: Callable[[ProcessSample], float]
) -> list[Value]:
    """Return the sums over the processes of a role that lived at once."""
    sums = dict[tuple[float, str], float]()
    for moment in moments:
        key = moment.at_s, moment.phase
        sums[key] = sums.get(key, 0.0) + count(moment.sample)
    return [(at_s, phase, value) for (at_s, phase), value in sums.items()]


def _medians(plan: Plan, values: Iterable[Value]) -> tuple[float, ...]:
    """Return the median at the end of each rest that there was."""
    rests = defaultdict[int, list[float]](list)
    for at_s, phase, value in values:
        if phase == Phase.SETTLED:
            rests[plan.quarter_at(at_s)].append(value)
    return tuple(float(median(rests[quarter])) for quarter in sorted(rests))
