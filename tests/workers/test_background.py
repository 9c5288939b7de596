"""Waiting for an event: it ends early with the event, and always with a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from workers.background import wait_for_event


async def test_a_wait_ends_with_its_event() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(event, 60)
    assert await wait_for_event(event, 0)


async def test_a_wait_without_the_event_times_out() -> None:
    assert not await wait_for_event(asyncio.Event(), 0.01)


@pytest.mark.parametrize("steps", range(4))
async def test_a_cancellation_together_with_the_event_is_not_lost(steps: int) -> None:
    """In every step of the loop until the wait is over."""
    event = asyncio.Event()
    pausing = asyncio.create_task(wait_for_event(event, 60))
    await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    cancelled = pausing.cancel()  # False where the pause is over already
    await asyncio.wait([pausing])
    assert pausing.cancelled() == cancelled
