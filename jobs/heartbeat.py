"""The heartbeat of a worker: its state, its capabilities and its machine; and what it learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class GpuState:
    """The GPU of a worker, sampled recently."""

    load: float | None
    """Fraction of time in which it computed; None where it is not reported."""
    memory_used_bytes: int
    memory_total_bytes: int


@dataclass(frozen=True)
class MachineState:
    """The machine of a worker, sampled recently. Loads are fractions of all cores' time."""

    cpu_load: float
    """Fraction in which programs of this machine ran."""
    cpu_steal: float
    """Fraction given to other machines by the hypervisor while programs here wanted to run."""
    memory_available_bytes: int
    memory_total_bytes: int
    gpu: GpuState | None = None
    """None without a GPU, or without access to its figures."""


@dataclass(frozen=True)
class BackendState:
    """The backend that runs a model in one worker."""

    runtime: str
    precision: str
    """Precision of the trunk."""
    refused: dict[str, str] = field(default_factory=dict)
    """Backends that were preferred but refused, by name, and why."""


@dataclass(frozen=True)
class WorkerHeartbeat:
    """Heartbeat of one worker; expires after `pulse_ttl_seconds`."""

    worker_id: str
    ready: bool
    """Whether the worker is warm: a job sent now runs at once."""
    models: tuple[str, ...]
    costs: dict[str, Any]
    """The worker's cost model, as `scheduling.cost_model` serialises it."""
    busy: bool = False
    machine: MachineState | None = None
    """None where the worker does not report it."""
    capabilities: tuple[str, ...] = ()
    """The requirements (`Job.requirement`) that it meets."""
    broken: dict[str, str] = field(default_factory=dict)
    """Entries of its model folder that could not be loaded at the last read, and why."""
    reloads: int = 0
    """The number of the last reload request that it has followed."""
    backends: dict[str, BackendState] = field(default_factory=dict)
    """The backend of each model."""


class HeartbeatAnswer(NamedTuple):
    """What a worker learns by its heartbeat."""

    live_workers: int
    """This one included."""
    reloads: int
    """Number of the last reload request."""
    requested_models: frozenset[str]
    """Models that were requested within the last hour."""
