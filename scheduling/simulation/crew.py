"""Which workers of a simulation are there, which are idle, and how slow each is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from scheduling.options import Options
from scheduling.simulation.autoscaling import Fleet
from scheduling.simulation.machine import SimulatedWorkers
from scheduling.simulation.shard import Shard
from scheduling.slowdown import LEAST_GAIN, MOST_STEP


class Crew:
    """The workers by number, each at home in a shard, with the options that it expects."""

    def __init__(
        self, machine: SimulatedWorkers, shards: Sequence[Shard], tables: Sequence[Options]
    ) -> None:
        self._shards, self._tables = shards, tables
        self.fleet = Fleet(machine.autoscaler) if machine.autoscaler else None
        self._workers = machine.workers
        there = self.fleet.warm if self.fleet else machine.workers
        # Twice as many, because those that stop finish their runs.
        most = 2 * self.fleet.rule.most if self.fleet else machine.workers
        for worker in range(there):
            self.home(worker).alive += 1
            self.home(worker).idle.append(worker)
        self._absent = list(range(there, most))
        """Workers that do not exist now."""
        self._stopping: set[int] = set()
        """Workers that stop after their run."""
        self.slowdown = [1.0] * most
        """The actual one of each; infinite for a dead one."""
        self._estimated = [1.0] * most
        self._learns = bool(machine.slow)
        self._slowed: dict[tuple[int, int], Options] = {}

    @property
    def paid(self) -> int:
        """Number of workers whose time counts."""
        return self.fleet.replicas + len(self._stopping) if self.fleet else self._workers

    def home(self, worker: int) -> Shard:
        """Return the shard in which a worker claims first."""
        return self._shards[worker % len(self._shards)]

    def free(self, worker: int) -> None:
        """Note that a worker's run has ended."""
        if worker in self._stopping:
            self._stopping.remove(worker)
            self._absent.append(worker)
        else:
            self.home(worker).idle.append(worker)

    def resize(self, running: Iterable[int]) -> None:
        """Let workers begin or stop as the fleet wants. `running` are those with a run."""
        assert self.fleet is not None
        (shard,) = self._shards
        for _ in range(self.fleet.warm - shard.alive):
            shard.idle.append(self._absent.pop())
        for _ in range(shard.alive - self.fleet.warm):
            self._stop_one(shard, running)
        shard.alive = self.fleet.warm

    def _stop_one(self, shard: Shard, running: Iterable[int]) -> None:
        """Stop an idle worker, or else one after its run."""
        if shard.idle:
            self._absent.append(shard.idle.pop())
        else:
            self._stopping.add(next(w for w in running if w not in self._stopping))

    def options(self, kind: int, worker: int) -> Options:
        """Return a kind's options with costs times the slowdown that this worker estimates."""
        if self._estimated[worker] == 1.0:
            return self._tables[kind]
        level = round(8 * math.log2(self._estimated[worker]))
        if (kind, level) not in self._slowed:
            slowdown = 2 ** (level / 8)
            self._slowed[kind, level] = tuple(
                replace(o, expected_ms=o.expected_ms * slowdown, safe_ms=o.safe_ms * slowdown)
                for o in self._tables[kind]
            )
        return self._slowed[kind, level]

    def ran(self, worker: int, factor: float) -> None:
        """Let a worker learn from a run that took `factor` times the cost at full speed."""
        if self._learns:
            slowdown = self._estimated[worker]
            bounded = min(max(factor, slowdown / MOST_STEP), slowdown * MOST_STEP)
            self._estimated[worker] = slowdown + LEAST_GAIN * (bounded - slowdown)

    def change(self, worker: int, slowdown: float) -> bool:
        """Change a worker's slowdown from its next run on; infinite: it dies, finite again: it
        comes back, calibrated at its warm-up. Return whether a run dies with it."""
        home, was_dead = self.home(worker), math.isinf(self.slowdown[worker])
        self.slowdown[worker] = slowdown
        if math.isinf(slowdown) and not was_dead:
            home.alive -= 1
            if worker not in home.idle:
                return True
            home.idle.remove(worker)
        elif was_dead and not math.isinf(slowdown):
            home.alive += 1
            self._estimated[worker] = slowdown
            home.idle.append(worker)
        return False
