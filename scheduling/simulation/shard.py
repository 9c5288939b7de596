"""One queue of a simulation: what waits and runs there. A service has one, or several shards.

A gateway sends a job to the better of two random shards, by the seconds of work in them as of the
gateways' last snapshot; if that one refuses it, to the other. Workers claim in their home shard.
Those that find nothing there look into the other shards every `LOOK_MS`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from scheduling.load import Demand, Slots
from scheduling.simulation.clients import Clients

LOOK_MS = 100.0
"""Time between two looks of an idle worker into the other shards."""
SNAPSHOT_MS = 1000.0
"""Time between two snapshots of a gateway, as `snapshot_seconds` of its settings."""


@dataclass
class Shard:
    """A queue, and the workers whose home it is."""

    clients: Clients
    idle: list[int] = field(default_factory=list)
    """Idle workers of this home."""
    alive: int = 0
    """Workers of this home."""
    slots: Slots = field(default_factory=Slots)
    demand: Demand = field(default_factory=Demand)
    pending: list[tuple[float, int]] = field(default_factory=list)
    """Heap of (latest start, job); a job may have left the queue already."""
    of_client: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    """The same of each client."""
    same_kind: dict[int, deque[int]] = field(default_factory=dict)
    """Jobs of each kind, in the order of their arrival; some may have left already."""
    waiting: dict[int, int] = field(default_factory=dict)
    """Number of waiting jobs of each kind that waits."""
    seen_s: float = 0.0
    """Seconds of work for each worker, as gateways know it."""

    def add(self, job: int, kind: int, waits: tuple[float, float, float], client: int) -> None:
        """Let a job wait, with latest start, cheapest cost and that of its narrowest network."""
        for heap in (self.pending, self.of_client.setdefault(client, [])):
            heapq.heappush(heap, (waits[0], job))
        self.slots.add(*waits)
        self.clients.slots(client).add(*waits)
        self.same_kind.setdefault(kind, deque()).append(job)
        self.waiting[kind] = self.waiting.get(kind, 0) + 1

    def remove(self, kind: int, waits: tuple[float, float, float], client: int) -> None:
        """Take out a job that was added so."""
        self.slots.remove(*waits)
        self.clients.slots(client).remove(*waits)
        self.waiting[kind] -= 1
        if not self.waiting[kind]:
            del self.waiting[kind]

    @property
    def backlog_ms(self) -> float:
        """Sum of the cheapest costs of what waits."""
        return sum(group.cheapest_ms for group in self.slots.groups())

    def see(self, now: float, ends: Sequence[float]) -> None:
        """Take a snapshot, with the predicted ends of the runs."""
        running_ms = sum(max(0.0, end - now) for end in ends)
        self.seen_s = (self.backlog_ms + running_ms) / 1e3 / max(1, self.alive)
