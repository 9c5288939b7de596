"""The deliveries of a gateway, built from its settings."""

from __future__ import annotations

import math

from jobs.job import DeliveryKind
from service.deliveries.courier import Courier, Route
from service.gateway import Gateway


async def deliver(gateway: Gateway) -> None:
    """Deliver until cancelled; there is nothing to do where callers can ask for no delivery."""
    settings, webhooks, results = gateway.settings, gateway.webhooks, gateway.results
    if not webhooks.enabled and not results.enabled:
        return
    # A picture is tried for as long as it is kept, which the queue knows.
    routes = {DeliveryKind.RESULT: Route(results.sender, math.inf)}
    if webhooks.enabled:
        routes[DeliveryKind.WEBHOOK] = Route(webhooks.sender(), settings.webhook_retry_seconds)
    courier = Courier(
        gateway.queue.deliveries,
        routes,
        gateway.metrics,
        settings.webhook_deliveries,
        settings.webhook_deliveries_per_host,
    )
    await courier.run()
