"""The requests of a simulation: what each asks for, and when it comes."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from scheduling.options import Options, narrowest_network
from scheduling.simulation.workload import Workload


class Requests:
    """A workload, with the time of each arrival as it becomes known, and what `tables` of options
    make of it. Requests are named by their numbers; all times are ms."""

    def __init__(self, workload: Workload, tables: Sequence[Options]) -> None:
        self.arrival: list[float] = workload.arrival_ms.tolist()
        self.budget: list[float] = workload.budget_ms.tolist()
        self.kind: list[int] = workload.kind.tolist()
        none = np.zeros(len(workload), dtype=np.int64)
        self.client: list[int] = (none if workload.client is None else workload.client).tolist()
        self._patience = None if workload.patience_ms is None else workload.patience_ms.tolist()
        self._cheapest = [table[0].safe_ms for table in tables]
        self._network = [narrowest_network(table).expected_ms for table in tables]
        self._next: dict[int, int] = {}
        """By request, the one that is sent after its answer."""
        self._arrivals = self._first(workload)
        """Heap of (time, request) whose time of arrival is known."""
        self._cancellations: list[tuple[float, int]] = []
        """Heap of (time, request): when a caller cancels unless it has its answer."""

    def _first(self, workload: Workload) -> list[tuple[float, int]]:
        """Return the arrivals that wait for no answer, and fill `_next`."""
        if workload.after is None:
            return sorted((at, job) for job, at in enumerate(self.arrival))
        for job, before in enumerate(workload.after.tolist()):
            if before >= 0:
                self._next[before] = job
        first = set(range(len(workload))) - set(self._next.values())
        return sorted((self.arrival[job], job) for job in first)

    @property
    def next_arrival_ms(self) -> float:
        """When the next request comes; infinite without one."""
        return self._arrivals[0][0] if self._arrivals else float("inf")

    @property
    def next_cancellation_ms(self) -> float:
        """When the patience of the next caller ends; infinite without one."""
        return self._cancellations[0][0] if self._cancellations else float("inf")

    def arrive(self) -> int:
        """Take the request that comes next."""
        return heapq.heappop(self._arrivals)[1]

    def cancel(self) -> int:
        """Take the request whose caller's patience ends next."""
        return heapq.heappop(self._cancellations)[1]

    def accepted(self, now: float, job: int) -> None:
        """Note that a request waits for its answer, which its caller may cancel."""
        if self._patience is not None and self._patience[job] < float("inf"):
            heapq.heappush(self._cancellations, (now + self._patience[job], job))

    def answered(self, now: float, job: int) -> None:
        """Schedule the next request of the same caller, if there is one."""
        following = self._next.get(job)
        if following is not None:
            self.arrival[following] += now
            heapq.heappush(self._arrivals, (self.arrival[following], following))

    def deadline(self, job: int) -> float:
        """Return when a request must be answered."""
        return self.arrival[job] + self.budget[job]

    def latest_start(self, job: int) -> float:
        """Return when a request must start at its cheapest."""
        return self.deadline(job) - self._cheapest[self.kind[job]]

    def network_ms(self, job: int) -> float:
        """Return the cost of a request's narrowest network."""
        return self._network[self.kind[job]]

    def slack(self, job: int) -> float:
        """Return how long a request can wait with its narrowest network still in time; at least
        1."""
        return max(1.0, self.budget[job] - self.network_ms(job))

    def waits(self, job: int) -> tuple[float, float, float]:
        """Return latest start, cheapest cost and that of the narrowest network."""
        kind = self.kind[job]
        return self.latest_start(job), self._cheapest[kind], self._network[kind]
