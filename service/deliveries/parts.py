"""The deliveries of a gateway, built from its settings."""

from __future__ import annotations

import math

from jobs.job import DeliveryKind
from jobs.outages import CALL_TIMEOUT_S
from service.deliveries.courier import Courier, Route
from service.gateway import Gateway

RESULT_LEASE_S = 180.0


async def deliver(gateway: Gateway) -> None:
    """Deliver until cancelled; there is nothing to do where callers can ask for no delivery."""
    settings, webhooks, results = gateway.settings, gateway.webhooks, gateway.results
    if not webhooks.enabled and not results.enabled:
        return
    # A picture is tried for as long as it is kept, which the queue knows.
    routes = {DeliveryKind.RESULT: Route(results.sender, math.inf, RESULT_LEASE_S)}
    if webhooks.enabled:
        lease_s = settings.webhook_timeout_seconds + CALL_TIMEOUT_S  # until its end is recorded
        window_s = settings.webhook_retry_seconds
        routes[DeliveryKind.WEBHOOK] = Route(webhooks.sender(), window_s, lease_s)
    courier = Courier(
        gateway.queue.deliveries,
        routes,
        gateway.metrics,
        settings.webhook_deliveries,
        settings.webhook_deliveries_per_host,
    )
    await courier.run()
