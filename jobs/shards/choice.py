"""Which shard a gateway sends a job to, by what it saw last."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.backlog import QueueStats
from jobs.heartbeat import WorkerHeartbeat


@dataclass
class Sight:
    """A shard as it was seen last."""

    work_ms: float = 0.0
    """Cheapest costs of what waits, and what remains of the runs."""
    workers: Sequence[WorkerHeartbeat] = field(default=())
    away: bool = False
    """Whether it could not be reached."""

    @property
    def work_s(self) -> float:
        """Seconds of work for each worker."""
        return self.work_ms / 1e3 / max(1, len(self.workers))

    def having(self, requirement: str) -> int:
        """Return how many workers can run a job of this `Job.requirement`."""
        ready = (beat for beat in self.workers if beat.ready)
        return sum(requirement in beat.capabilities for beat in ready)


class ShardChoice:
    """Chooses as `scheduling.simulation.shard` describes it: the better of two random shards first,
    and then the other."""

    def __init__(self, shards: int, chance: random.Random) -> None:
        self._sights = [Sight() for _ in range(shards)]
        self._chance = chance

    def saw_workers(self, shard: int, workers: Sequence[WorkerHeartbeat] | None) -> None:
        """Note the live workers of a shard; None: it could not be reached."""
        sight = self._sights[shard]
        sight.away, sight.workers = workers is None, workers or ()

    def saw_stats(self, shard: int, stats: QueueStats) -> None:
        """Note the work in a shard."""
        now_ms = stats.backlog.now_ms
        remaining = sum(max(0.0, end - now_ms) for end in stats.backlog.running)
        self._sights[shard].work_ms = stats.backlog_ms + remaining

    def order(self, requirement: str) -> list[int]:
        """Return two shards, or one, for a job of this `Job.requirement`: those that have workers
        for it, if any has, and no shard that is away, if others are not."""
        numbers = range(len(self._sights))
        having = [n for n in numbers if self._sights[n].having(requirement)]
        found = having or [n for n in numbers if not self._sights[n].away] or list(numbers)
        two = self._chance.sample(found, min(2, len(found)))
        return sorted(two, key=lambda number: self._sights[number].work_s)

    def workers_for(self, shard: int, requirement: str, of_all: int) -> int:
        """Return the part of `of_all` workers for such jobs that is a shard's, at least one: a
        shard without any is looked after by those of others."""
        in_all = sum(sight.having(requirement) for sight in self._sights)
        own = self._sights[shard].having(requirement)
        share = own / in_all if in_all else 1 / len(self._sights)
        return max(1, round(of_all * share)) if of_all else 0
