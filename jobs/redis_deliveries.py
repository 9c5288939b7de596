"""Deliveries on Redis: leased by host, and ended under their fencing token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from jobs.batch import BatchView, record_name
from jobs.batch_records import announced_of
from jobs.codec import CodecError
from jobs.connection import SteadyRedis
from jobs.errors import DataLoss
from jobs.job import DeliveryKind, JobView
from jobs.outages import reports_outages
from jobs.queue import Attempt, AttemptOutcome, Deliveries, Delivery, DeliveryState
from jobs.records import pairs
from jobs.scripts import Scripts

POLL_S = 1.0
"""Longest wait: a token may be lost with the process that took it."""
DAMAGED = Attempt(AttemptOutcome.REFUSED, DataLoss.code)


class RedisDeliveries(Deliveries):
    """Leases deliveries, and records how they went."""

    def __init__(
        self, scripts: Scripts, client: SteadyRedis, wake: str, result_ttl_seconds: int
    ) -> None:
        self._scripts = scripts
        self._client = client
        self._wake = wake
        self._picture_s = result_ttl_seconds

    @reports_outages
    async def claim(
        self,
        most: int,
        per_host: int,
        delivering: Mapping[str, int],
        leases_s: Mapping[DeliveryKind, float],
    ) -> tuple[list[Delivery], float | None]:
        counts = [part for pair in delivering.items() for part in pair]
        webhook, result = (
            1e3 * leases_s[kind] for kind in (DeliveryKind.WEBHOOK, DeliveryKind.RESULT)
        )
        rows, next_ms = await self._scripts.run(
            *("claim_deliveries", webhook, result, most, per_host), *counts
        )
        found = [await self._opened(row) for row in rows]
        deliveries = [delivery for delivery in found if delivery is not None]
        return deliveries, float(next_ms) / 1e3 if next_ms else None

    async def _opened(self, row: list[Any]) -> Delivery | None:
        """Return a leased delivery; one whose record is damaged ends here."""
        name, token, record = row[0].decode(), int(row[1]), pairs(row[2])
        try:
            kind = DeliveryKind(record[b"delivery"].decode())
            view = announced_of(name, record)
        except (CodecError, KeyError, ValueError):
            await self._end(name, token, DAMAGED, 0.0)
            return None
        delivery = view.webhook if kind is DeliveryKind.WEBHOOK else view.destination
        if delivery is None:  # only one who damages records removes it
            await self._end(name, token, DAMAGED, 0.0)
            return None
        return Delivery(name, view, kind, delivery, token, row[3].decode() or None)

    @reports_outages
    async def end(self, delivery: Delivery, attempt: Attempt, window_s: float) -> DeliveryState:
        if delivery.kind is DeliveryKind.RESULT:
            window_s = min(window_s, self._picture_s)
        return await self._end(delivery.id, delivery.token, attempt, window_s)

    async def _end(self, name: str, token: int, attempt: Attempt, window_s: float) -> DeliveryState:
        state = await self._scripts.run(
            "end_delivery",
            *(name, token, attempt.outcome.value, attempt.answer),
            *(attempt.delay_ms, window_s * 1e3),
        )
        return DeliveryState(state.decode())

    @reports_outages
    async def wait(self, wait_s: float, stopping: asyncio.Event) -> None:
        # Zero would block for ever. A token that is lost here costs POLL_S.
        blocking = self._client.blpop([self._wake], min(max(wait_s, 0.01), POLL_S))
        waiting = asyncio.ensure_future(blocking)
        stopped = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait((waiting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                await waiting
        finally:
            for task in (waiting, stopped):
                task.cancel()
            await asyncio.gather(waiting, stopped, return_exceptions=True)

    @reports_outages
    async def dead(self, most: int) -> list[JobView | BatchView]:
        views = []
        for name, record in await self._scripts.run("dead_deliveries", most):
            try:
                views.append(announced_of(name.decode(), pairs(record)))
            except CodecError:
                continue
        return views

    @reports_outages
    async def resend(self, ended_id: str) -> bool:
        for name in (ended_id, record_name(ended_id)):
            if await self._scripts.run("resend", name):
                return True
        return False
