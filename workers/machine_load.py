"""The load of a machine between two samples of its counters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from jobs.heartbeat import GpuState, MachineState


class CpuTimes(NamedTuple):
    """Seconds of all cores together since some moment in the past."""

    total: float
    busy: float
    """In which programs of this machine ran."""
    steal: float
    """In which they wanted to, and the hypervisor let others run."""


@dataclass(frozen=True)
class Sample:
    """What a machine says of itself at one moment."""

    cpu: CpuTimes
    memory_available_bytes: int
    memory_total_bytes: int
    gpu: GpuState | None = None


def machine_state(before: Sample, after: Sample) -> MachineState | None:
    """Return the state of a machine between two samples; None when nobody knows: no time has
    passed between them, or the counters are no numbers."""
    passed = CpuTimes(*(now - then for now, then in zip(after.cpu, before.cpu, strict=True)))
    if not all(map(math.isfinite, passed)) or passed.total <= 0:
        return None
    return MachineState(
        cpu_load=_part(passed.busy, passed.total),
        cpu_steal=_part(passed.steal, passed.total),
        memory_available_bytes=after.memory_available_bytes,
        memory_total_bytes=after.memory_total_bytes,
        gpu=after.gpu,
    )


def _part(seconds: float, total: float) -> float:
    # Within its range whatever wait_for_event: some kernels' counters go backwards now and then.
    return min(max(seconds / total, 0.0), 1.0)
