"""What an attempt to deliver comes to, by the answer of its receiver."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

import httpx

from jobs.queue import Attempt, AttemptOutcome, Delivery
from service.deliveries.backoff import pause_s, retry_after_s

MOST_ANSWER_BYTES = 1024
"""What is read of an answer's body, so that a short one does not end in a broken connection."""
ANSWER_S = 1.0
"""How long its body is waited for. The status has arrived by then, and alone counts."""


class Attempts:
    """Makes attempts of answers. `clock` is Unix time in s, `drawn` draws evenly from 0 to 1."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        drawn: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._drawn = drawn

    def failed(
        self, delivery: Delivery, answer: str, response: httpx.Response | None = None
    ) -> Attempt:
        """Return an attempt that failed with an answer, and is repeated after a pause: not before
        the time in the response's Retry-After."""
        header = response.headers.get("retry-after") if response else None
        wish_s = retry_after_s(header, self._clock())
        failures = delivery.as_it_stands.attempts + 1
        return Attempt(AttemptOutcome.FAILED, answer, pause_s(failures, self._drawn, wish_s) * 1e3)


async def skim(response: httpx.Response) -> None:
    """Read the beginning of a body, and mind nothing that goes wrong there."""
    read = 0
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            async for piece in response.aiter_raw(MOST_ANSWER_BYTES):
                read += len(piece)
                if read >= MOST_ANSWER_BYTES:
                    return
