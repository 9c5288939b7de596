"""Sleeping that an event ends early."""

from __future__ import annotations

import asyncio
import contextlib


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Return whether an event is set by now or within so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()
