"""The rest of refused bodies is read at one rate, however many there are."""

from __future__ import annotations

import asyncio

import pytest

from service.lingering_close import Pace


class Clock:
    """A loop's time that stands still, and a sleep that is only noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        monkeypatch.setattr("service.lingering_close.asyncio.sleep", self._sleep)
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 100.0, raising=False)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_readers_share_a_rate_in_the_order_in_which_they_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, pace = Clock(monkeypatch), Pace(rate=1_000)
    for count in (500, 500, 2_000):
        await pace.take(count)
    assert clock.slept == [0.5, 1.0, 3.0]
