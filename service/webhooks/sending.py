"""Sending: one attempt to deliver a webhook, within bounds of time and bytes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from http import HTTPStatus

import httpx

from jobs.errors import AddressRefused, RemoteError
from jobs.queue import Attempt, AttemptOutcome, Delivery
from service.outbound.client import OutboundClient, TimeBounds
from service.webhooks.backoff import pause_s, retry_after_s
from service.webhooks.message import message_of
from service.webhooks.signature import Signer

MOST_ANSWER_BYTES = 1024
"""What is read of an answer's body, so that a short one does not end in a broken connection."""
ANSWER_S = 1.0
"""How long its body is waited for. The status has arrived by then, and alone counts."""


class Sender:
    """Sends the message of a delivery, signed; redirects are not followed."""

    def __init__(
        self,
        client: OutboundClient,
        signer: Signer,
        root_path: str,
        within_s: float,
        clock: Callable[[], float] = time.time,
        drawn: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._signer = signer
        self._root_path = root_path
        self._within = TimeBounds(within_s, connect_s=within_s, read_s=within_s)
        self._clock = clock
        self._drawn = drawn

    async def attempt(self, delivery: Delivery) -> Attempt:
        """Make one attempt; whatever the receiver does is part of the answer."""
        message = message_of(delivery, self._root_path)
        headers = self._signer.headers(message.id, int(self._clock()), message.body)
        headers["Content-Type"] = "application/json"
        url, failures = delivery.webhook.url, delivery.webhook.attempts + 1
        try:
            async with self._client.sent(
                "POST", url, self._within, headers, message.body
            ) as response:
                await _skim(response)
                return self._answered(response, failures)
        except (AddressRefused, RemoteError) as error:
            return self._failed(error.code, failures)

    def _answered(self, response: httpx.Response, failures: int) -> Attempt:
        status = str(response.status_code)
        if response.is_success:
            return Attempt(AttemptOutcome.DELIVERED, status)
        if response.status_code == HTTPStatus.GONE:
            return Attempt(AttemptOutcome.REFUSED, status)
        wish_s = retry_after_s(response.headers.get("retry-after"), self._clock())
        return self._failed(status, failures, wish_s)

    def _failed(self, answer: str, failures: int, wish_s: float = 0.0) -> Attempt:
        delay_ms = pause_s(failures, self._drawn, wish_s) * 1e3
        return Attempt(AttemptOutcome.FAILED, answer, delay_ms)


async def _skim(response: httpx.Response) -> None:
    """Read the beginning of a body, and mind nothing that goes wrong there."""
    read = 0
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            async for piece in response.aiter_raw(MOST_ANSWER_BYTES):
                read += len(piece)
                if read >= MOST_ANSWER_BYTES:
                    return
