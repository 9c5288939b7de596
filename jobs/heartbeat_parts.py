"""A heartbeat as it is kept: what changes all the time, apart from what hardly ever does.

A profile is several times as long as a state. Workers send it, and gateways read it, only when it
has changed: a snapshot of a thousand workers then takes the server a fraction of a millisecond.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from jobs.heartbeat import BackendState, MachineState, WorkerHeartbeat

LASTING_COSTS = ("lines", "disturbed", "tilings")
"""Members of a cost model (`scheduling.cost_model`) that only a measurement or a reload changes."""
DIGEST_BYTES = 8
FIELDS = 2
"""Before a stored state, each followed by a colon: the moment until which it counts, and the digest
of the profile."""


@dataclass(frozen=True)
class WorkerState:
    """What changes with each job, or each second."""

    worker_id: str
    ready: bool
    learnt: dict[str, Any]
    """Members of the cost model that runs change."""
    busy: bool = False
    machine: MachineState | None = None
    reloads: int = 0


@dataclass(frozen=True)
class WorkerProfile:
    """What changes when models are loaded or measured."""

    models: tuple[str, ...]
    costs: dict[str, Any]
    """The `LASTING_COSTS`."""
    capabilities: tuple[str, ...] = ()
    broken: dict[str, str] = field(default_factory=dict)
    backends: dict[str, BackendState] = field(default_factory=dict)


def state_of(heartbeat: WorkerHeartbeat) -> WorkerState:
    """Return one part of a heartbeat."""
    learnt = {name: part for name, part in heartbeat.costs.items() if name not in LASTING_COSTS}
    return WorkerState(
        worker_id=heartbeat.worker_id,
        ready=heartbeat.ready,
        learnt=learnt,
        busy=heartbeat.busy,
        machine=heartbeat.machine,
        reloads=heartbeat.reloads,
    )


def profile_of(heartbeat: WorkerHeartbeat) -> WorkerProfile:
    """Return the other part."""
    costs = {name: part for name, part in heartbeat.costs.items() if name in LASTING_COSTS}
    return WorkerProfile(
        models=heartbeat.models,
        costs=costs,
        capabilities=heartbeat.capabilities,
        broken=heartbeat.broken,
        backends=heartbeat.backends,
    )


def heartbeat_of(state: WorkerState, profile: WorkerProfile) -> WorkerHeartbeat:
    """Return the heartbeat of two parts."""
    return WorkerHeartbeat(
        worker_id=state.worker_id,
        ready=state.ready,
        models=profile.models,
        costs={**profile.costs, **state.learnt},
        busy=state.busy,
        machine=state.machine,
        capabilities=profile.capabilities,
        broken=profile.broken,
        reloads=state.reloads,
        backends=profile.backends,
    )


def digest_of(profile: bytes) -> str:
    """Return the digest by which an encoded profile is known."""
    return hashlib.blake2b(profile, digest_size=DIGEST_BYTES).hexdigest()


def profile_field(worker_id: str, digest: str) -> str:
    """Return the field of a worker's profile in the hash of all."""
    return f"{worker_id}@{digest}"
