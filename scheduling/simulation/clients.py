"""The clients of a simulation: which are active, and what each has in the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.backlog import ClientLoad
from scheduling.load import DEMAND_MS, Demand, Slots
from scheduling.shares import ACTIVE_MS


@dataclass
class _Account:
    weight: float
    active_until: float = -math.inf
    slots: Slots = field(default_factory=Slots)
    work_ms: float = 0.0
    """Work that came lately while others waited; decays like that of `Demand`."""
    used_ms: float = 0.0
    """Time of its recent runs, decaying alike."""
    at_ms: float = 0.0

    def pass_time(self, now_ms: float) -> None:
        """Advance to `now_ms`."""
        fade = math.exp((self.at_ms - now_ms) / DEMAND_MS)
        self.work_ms, self.used_ms, self.at_ms = self.work_ms * fade, self.used_ms * fade, now_ms


class Clients:
    """Accounts of clients with these weights, to which what comes and goes is reported."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._accounts = [_Account(weight) for weight in weights]

    def slots(self, client: int) -> Slots:
        """Return a client's waiting jobs, to be updated."""
        return self._accounts[client].slots

    def sends(self, client: int, now_ms: float) -> None:
        """Note that a client sends a job."""
        self._accounts[client].active_until = now_ms + ACTIVE_MS

    def add(self, client: int, network_ms: float, now_ms: float) -> None:
        """Count work that came while others waited, as by `Demand.add`; negative: it is
        withdrawn."""
        account = self._accounts[client]
        account.pass_time(now_ms)
        account.work_ms = max(0.0, account.work_ms + network_ms)

    def ran(self, client: int, run_ms: float, now_ms: float) -> None:
        """Count a run that ended."""
        account = self._accounts[client]
        account.pass_time(now_ms)
        account.used_ms += run_ms

    def load(self, client: int, now_ms: float, demand: Demand) -> ClientLoad | None:
        """Return what a client has in the queue; None while no other one is active."""
        own = self._accounts[client]
        others = (a for a in self._accounts if a is not own and a.active_until > now_ms)
        weights = sum(account.weight for account in others)
        if not weights:
            return None
        own.pass_time(now_ms)
        part, rate = own.weight / (own.weight + weights), demand.rate_of(own.work_ms)
        return ClientLoad(part, tuple(own.slots.groups()), rate, own.used_ms / DEMAND_MS)
