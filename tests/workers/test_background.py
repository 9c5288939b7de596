"""Sleeping that an event ends early, and that a cancellation always ends."""

from __future__ import annotations

import asyncio

import pytest

from workers.background import wait_for_event


async def test_the_event_ends_the_pause() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(event, 60)
    assert await wait_for_event(event, 0)


async def test_without_the_event_the_pause_is_over_in_time() -> None:
    assert not await wait_for_event(asyncio.Event(), 0.01)


@pytest.mark.parametrize("steps", range(4))
async def test_a_cancellation_beside_the_event_is_heard(steps: int) -> None:
    """In whatever step of the loop it comes, until the pause is over."""
    event = asyncio.Event()
    pausing = asyncio.create_task(wait_for_event(event, 60))
    await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    cancelled = pausing.cancel()  # False where the pause is over already
    await asyncio.wait([pausing])
    assert pausing.cancelled() == cancelled
