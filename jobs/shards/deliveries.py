"""Deliveries of a divided queue: those of a job are in its shard, those of a batch with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from jobs.batch import BatchView
from jobs.job import DeliveryKind, JobView
from jobs.queue import Attempt, Deliveries, Delivery, DeliveryState
from jobs.shards.ids import shard_of
from jobs.shards.shard import Shard
from jobs.shards.together import answers_of


class ShardedDeliveries(Deliveries):
    """`common` has the deliveries of batches."""

    def __init__(self, common: Deliveries, shards: Sequence[Shard]) -> None:
        self._common = common
        self._shards = shards
        self._places = [common, *(shard.deliveries for shard in shards)]
        self._first = 0
        """Which place is asked first: each in turn, so that none takes all room."""

    async def claim(
        self,
        most: int,
        per_host: int,
        delivering: Mapping[str, int],
        leases_s: Mapping[DeliveryKind, float],
    ) -> tuple[list[Delivery], float | None]:
        claimed, due, busy = list[Delivery](), list[float](), Counter(delivering)
        self._first = (self._first + 1) % len(self._places)
        outages = 0
        for place in (*self._places[self._first :], *self._places[: self._first]):
            if len(claimed) >= most:
                due.append(0.0)
                break
            try:
                found, next_s = await place.claim(most - len(claimed), per_host, busy, leases_s)
            except ConnectionError:
                outages += 1
                if outages == len(self._places):
                    raise
                continue
            claimed += found
            busy.update(_host(delivery) for delivery in found)
            due += [] if next_s is None else [next_s]
        return claimed, min(due, default=None)

    async def end(self, delivery: Delivery, attempt: Attempt, window_s: float) -> DeliveryState:
        return await self._of(delivery).end(delivery, attempt, window_s)

    async def wait(self, wait_s: float, stopping: asyncio.Event) -> None:
        waits = [asyncio.create_task(place.wait(wait_s, stopping)) for place in self._places]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if all(task.exception() is not None for task in done):
                await asyncio.wait(waits)
                await answers_of(waits)  # raises where no place can be reached
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def dead(self, most: int) -> list[JobView | BatchView]:
        answers = await answers_of(place.dead(most) for place in self._places)
        everyone = [view for views in answers.values() for view in views]
        return sorted(everyone, key=_died_ms, reverse=True)[:most]

    async def resend(self, ended_id: str) -> bool:
        answers = await answers_of(place.resend(ended_id) for place in self._places)
        return any(answers.values())

    def _of(self, delivery: Delivery) -> Deliveries:
        if isinstance(delivery.view, BatchView):
            return self._common
        return self._shards[shard_of(delivery.id, len(self._shards))].deliveries


def _host(delivery: Delivery) -> str:
    return delivery.as_it_stands.host


def _died_ms(view: JobView | BatchView) -> float:
    """Return when the last delivery of a job or batch was given up."""
    kinds = (view.webhook, view.destination)
    return max((kind.dead_ms or 0.0 for kind in kinds if kind is not None), default=0.0)
