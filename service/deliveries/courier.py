"""Courier: leases deliveries that are due from the queue, and makes them, several at once.

Every gateway does so; a lease keeps two of them from sending the same one at a time, and returns it
to the queue when its gateway dies.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jobs.errors import NotReady, WebhooksDisabled
from jobs.job import DeliveryKind
from jobs.outages import RECONNECT_S
from jobs.queue import Attempt, AttemptOutcome, Deliveries, Delivery, DeliveryState
from jobs.wakeup import POLL_S
from service.metrics import GatewayMetrics

log = logging.getLogger(__name__)

STOPPING_S = 2.0
"""How long attempts may go on when the gateway stops; then they are due again at once."""
STOPPED = Attempt(AttemptOutcome.FAILED, NotReady.code)
NO_ROUTE = Attempt(AttemptOutcome.FAILED, WebhooksDisabled.code, 60_000.0)
"""For a gateway whose secrets were taken away; another one may have them."""
NO_ROUTE_S = 86_400.0
NO_ROUTE_LEASE_S = 60.0


class Sender(Protocol):
    """Makes attempts to deliver."""

    async def attempt(self, delivery: Delivery) -> Attempt:
        """Make one attempt; whatever the receiver does is part of it."""


@dataclass(frozen=True)
class Route:
    """How one kind of delivery is made."""

    sender: Sender
    window_s: float
    """How long a failed one is tried again."""
    lease_s: float
    """Longer than any attempt: a gateway that takes longer has died, and another one delivers."""


class Courier:
    """Delivers for as long as it runs: `most` at once, and to each host `per_host`, so that one
    that does not answer holds up no other."""

    def __init__(
        self,
        deliveries: Deliveries,
        routes: Mapping[DeliveryKind, Route],
        metrics: GatewayMetrics,
        most: int,
        per_host: int,
    ) -> None:
        self._deliveries = deliveries
        self._routes = routes
        self._leases_s = dict.fromkeys(DeliveryKind, NO_ROUTE_LEASE_S)
        self._leases_s |= {kind: route.lease_s for kind, route in routes.items()}
        self._metrics = metrics
        self._most = most
        self._per_host = per_host
        self._hosts: Counter[str] = Counter()
        """Attempts in progress."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        """Set when there is room again for a delivery that had none."""

    async def run(self) -> None:
        """Deliver until cancelled; then end or give back what is in progress."""
        try:
            while True:
                try:
                    await self._round()
                except ConnectionError as error:
                    log.warning("deliveries wait for the queue: %s", error)
                    await asyncio.sleep(RECONNECT_S)
                except Exception:
                    log.exception("deliveries could not be claimed")
                    await asyncio.sleep(RECONNECT_S)
        finally:
            await self._stop()

    async def _round(self) -> None:
        """Start what is due, and wait for more if that was nothing."""
        self._room.clear()
        free = self._most - len(self._tasks)
        if free <= 0:
            await self._room.wait()
            return
        claimed, next_s = await self._deliveries.claim(
            free, self._per_host, self._hosts, self._leases_s
        )
        for delivery in claimed:
            self._start(delivery)
        if not claimed:
            await self._deliveries.wait(POLL_S if next_s is None else next_s, self._room)

    def _start(self, delivery: Delivery) -> None:
        host = delivery.as_it_stands.host
        self._hosts[host] += 1
        task = asyncio.create_task(self._deliver(delivery))
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            if len(self._tasks) >= self._most or self._hosts[host] >= self._per_host:
                self._room.set()
            self._tasks.discard(task)
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]

        task.add_done_callback(ended)

    async def _deliver(self, delivery: Delivery) -> None:
        route, begun = self._routes.get(delivery.kind), time.monotonic()
        try:
            attempt = NO_ROUTE if route is None else await route.sender.attempt(delivery)
        except asyncio.CancelledError:
            await self._end(delivery, STOPPED)
            raise
        except Exception:
            log.exception("%s of %s could not be sent", delivery.kind, delivery.id)
            return  # due again when its lease has run out
        self._metrics.delivery(delivery.kind, attempt, time.monotonic() - begun)
        await self._end(delivery, attempt)

    async def _end(self, delivery: Delivery, attempt: Attempt) -> None:
        route = self._routes.get(delivery.kind)
        window_s = NO_ROUTE_S if route is None else route.window_s
        try:
            state = await self._deliveries.end(delivery, attempt, window_s)
        except ConnectionError as error:
            log.warning("a delivery will be made once more: %s", error)
            return
        level = logging.WARNING if state is DeliveryState.DEAD else logging.INFO
        log.log(level, "%s %s", delivery.kind, state.value, extra=_facts(delivery, attempt))

    async def _stop(self) -> None:
        tasks = tuple(self._tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=STOPPING_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _facts(delivery: Delivery, attempt: Attempt) -> dict[str, str | int]:
    """Return the fields of an attempt's log line. A URL may hold a secret of its receiver."""
    return {
        "request_id": delivery.id,
        "host": delivery.as_it_stands.host,
        "answer": attempt.answer,
        "attempt": delivery.as_it_stands.attempts + 1,
    }
