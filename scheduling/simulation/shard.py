"""One queue of a simulation: what waits and runs there. A service has one, or several shards.

A gateway sends a job to the better of two random shards, by the seconds of work in them as of the
gateways' last snapshot; if that one refuses it, to the other. Workers claim in their home shard.
Those that find nothing there look into the other shards every `LOOK_MS`.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from scheduling.load import DEMAND_MS, Demand, Slots
from scheduling.simulation.clients import Clients
from scheduling.simulation.requests import Requests

LOOK_MS = 100.0
"""Time between two looks of an idle worker into the other shards."""
SNAPSHOT_MS = 1000.0
"""Time between two snapshots of a gateway, as `snapshot_seconds` of its settings."""


@dataclass
class Shard:
    """A queue, and the workers whose home it is. Jobs are named by their numbers in `requests`."""

    requests: Requests
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

    queued: set[int] = field(default_factory=set)
    """The jobs that wait."""
    counted: set[int] = field(default_factory=set)
    """Jobs that came while others waited, which the demand counts."""

    def pass_time(self, now: float) -> None:
        """Advance to `now`; call it before the waiting jobs change."""
        self.demand.pass_time(now, bool(self.waiting))

    def arrive(self, now: float, job: int) -> None:
        """Let a new job wait, and count it as demand if others do."""
        requests, client = self.requests, self.requests.client[job]
        if self.waiting:
            self.demand.add(requests.network_ms(job), requests.slack(job))
            self.clients.add(client, requests.network_ms(job), now)
            self.counted.add(job)
        self.add(job)

    def withdraw(self, now: float, job: int) -> None:
        """Remove a cancelled job from the demand."""
        if job not in self.counted:
            return
        requests, came = self.requests, self.requests.arrival[job]
        network_ms = requests.network_ms(job)
        self.demand.withdraw(network_ms, requests.slack(job), now - came)
        fade = math.exp((came - now) / DEMAND_MS)
        self.clients.add(requests.client[job], -network_ms * fade, now)

    def add(self, job: int) -> None:
        """Let a job wait."""
        requests, waits = self.requests, self.requests.waits(job)
        client, kind = requests.client[job], requests.kind[job]
        for heap in (self.pending, self.of_client.setdefault(client, [])):
            heapq.heappush(heap, (waits[0], job))
        self.slots.add(*waits)
        self.clients.slots(client).add(*waits)
        self.same_kind.setdefault(kind, deque()).append(job)
        self.waiting[kind] = self.waiting.get(kind, 0) + 1
        self.queued.add(job)

    def remove(self, job: int) -> None:
        """Take out a job that waits."""
        waits, kind = self.requests.waits(job), self.requests.kind[job]
        self.slots.remove(*waits)
        self.clients.slots(self.requests.client[job]).remove(*waits)
        self.waiting[kind] -= 1
        if not self.waiting[kind]:
            del self.waiting[kind]
        self.queued.remove(job)

    def first_of(self, heap: list[tuple[float, int]]) -> int | None:
        """Return the waiting job of a heap that must start first; jobs that have left are
        dropped."""
        while heap and heap[0][1] not in self.queued:
            heapq.heappop(heap)
        return heap[0][1] if heap else None

    def take_more(self, kind: int, count: int) -> list[int]:
        """Take out up to `count` jobs of a kind, the longest waiting first."""
        jobs: list[int] = []
        queue = self.same_kind[kind]
        while len(jobs) < count and queue:
            job = queue.popleft()
            if job in self.queued:
                self.remove(job)
                jobs.append(job)
        return jobs

    @property
    def backlog_ms(self) -> float:
        """Sum of the cheapest costs of what waits."""
        return sum(group.cheapest_ms for group in self.slots.groups())

    def see(self, now: float, ends: Sequence[float]) -> None:
        """Take a snapshot, with the predicted ends of the runs."""
        running_ms = sum(max(0.0, end - now) for end in ends)
        self.seen_s = (self.backlog_ms + running_ms) / 1e3 / max(1, self.alive)
