"""Delivery that outlasts an outage of the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("anysr.workers.delivery")

PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Between attempts. After the last one the lease has long run out, and the job is run again."""


async def deliver(send: Callable[[], Awaitable[bool]]) -> bool:
    """Return the result of `send`, repeated while the queue is away. Raises ConnectionError after
    the last attempt."""
    for pause_s in PAUSES_S:
        try:
            return await send()
        except ConnectionError as error:
            log.warning("cannot deliver yet: %s", error)
            await asyncio.sleep(pause_s)
    return await send()
