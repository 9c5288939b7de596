"""Sending: one attempt to deliver a webhook, within bounds of time and bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

import httpx

from jobs.errors import AddressRefused, RemoteError
from jobs.queue import Attempt, AttemptOutcome, Delivery
from service.deliveries.attempts import Attempts, skim
from service.outbound.client import OutboundClient, TimeBounds
from service.webhooks.message import message_of
from service.webhooks.signature import Signer


class WebhookSender:
    """Sends the message of a delivery, signed; redirects are not followed."""

    def __init__(
        self,
        client: OutboundClient,
        signer: Signer,
        root_path: str,
        within_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._signer = signer
        self._root_path = root_path
        self._within = TimeBounds(within_s, connect_s=within_s, read_s=within_s)
        self._clock = clock
        self._attempts = Attempts(clock)

    async def attempt(self, delivery: Delivery) -> Attempt:
        """Make one attempt; whatever the receiver does is part of the answer."""
        message = message_of(delivery, self._root_path)
        headers = self._signer.headers(message.id, int(self._clock()), message.body)
        headers["Content-Type"] = "application/json"
        try:
            async with self._client.sent(
                "POST", delivery.as_it_stands.to, self._within, headers, message.body
            ) as response:
                await skim(response)
                return self._answered(delivery, response)
        except (AddressRefused, RemoteError) as error:
            return self._attempts.failed(delivery, error.code)

    def _answered(self, delivery: Delivery, response: httpx.Response) -> Attempt:
        status = str(response.status_code)
        if response.is_success:
            return Attempt(AttemptOutcome.DELIVERED, status)
        if response.status_code == HTTPStatus.GONE:
            return Attempt(AttemptOutcome.REFUSED, status)
        return self._attempts.failed(delivery, status, response)
