"""A gateway gives up what requests leave behind, once it rests."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from service import idle_memory
from service.idle_memory import PERIOD_S, IdleMemory
from tests.service.harness import Start
from tests.support.waiting import eventually


class Knot:
    """Garbage that only a collection frees: it refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _nothing_else_collects() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle_memory, "POLL_S", 0.005)


async def test_memory_is_released_when_nothing_was_answered_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered, looks, now_s, busy, released = 0, 0, 0.0, True, 0

    def count() -> int:
        nonlocal answered, looks
        looks += 1
        answered += busy
        return answered

    def release() -> None:
        nonlocal released
        released += 1

    async def looked() -> None:
        """Wait until it looked twice: once it may have begun to before the change."""
        seen = looks
        await eventually(lambda: looks >= seen + 3, "three further polls")

    monkeypatch.setattr(idle_memory, "release_memory", release)
    resting = asyncio.create_task(IdleMemory(count, lambda: now_s).run())
    await looked()
    now_s += PERIOD_S
    await looked()
    assert released == 0, "between the answers of a gateway that is busy"
    busy = False
    await looked()
    assert released == 1
    await looked()
    assert released == 1, "within the period"
    now_s += PERIOD_S
    await looked()
    assert released == 2, "what no request has left, as deliveries and batches do"
    resting.cancel()


async def test_a_running_gateway_frees_what_refers_to_itself(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_memory, "PERIOD_S", 0.0)
    gone = weakref.ref(Knot())
    assert gone() is not None
    async with start() as served:
        assert (await served.client.get("/health/live")).status_code == 200
        await eventually(lambda: gone() is None, "a collection at rest")
