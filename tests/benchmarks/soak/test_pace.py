"""How callers are held back, and how it is noticed that they were suspended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from benchmarks.soak import pace
from benchmarks.soak.pace import MOST_SAVED_S, Pace
from benchmarks.soak.pauses import Pause, PauseWatch, overlaps


class Account:
    """A clock that a caller's sleep advances, and a service that has taken so much time."""

    def __init__(self) -> None:
        self.at = 0.0
        self.spent = 0.0

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    found = Account()
    monkeypatch.setattr(asyncio, "sleep", found.sleep)
    return found


async def test_a_dear_request_is_waited_for(account: Account) -> None:
    kept = Pace(0.25, lambda: account.at, lambda: account.spent)
    account.spent = 1.0
    await kept.wait()
    assert account.at == pytest.approx(4.0, abs=2 * pace.LOOK_S)


async def test_an_idle_service_is_not_waited_for_and_little_is_made_up_for(
    account: Account,
) -> None:
    kept = Pace(0.25, lambda: account.at, lambda: account.spent)
    account.at = 10_000.0
    await kept.wait()
    assert account.at == pytest.approx(10_000.0, abs=2 * pace.LOOK_S)
    account.spent, since = MOST_SAVED_S + 1.0, account.at
    await kept.wait()
    assert account.at - since == pytest.approx(4.0, abs=2 * pace.LOOK_S)


async def test_a_time_without_ticks_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    moments: Iterator[float] = iter([0.0, 0.5, 1.0, 21.0, 21.5])

    async def sleep(_: float) -> None:
        """Return at once."""

    monkeypatch.setattr(asyncio, "sleep", sleep)
    found: list[Pause] = []
    watch = PauseWatch(lambda: next(moments), found.append)
    with contextlib.suppress(RuntimeError, StopIteration):
        await watch.run()
    assert found == [Pause(1.0, 21.0)]


def test_a_request_is_unseen_if_a_pause_fell_into_it() -> None:
    one = [Pause(10.0, 20.0)]
    assert overlaps(one, 5.0, 11.0)
    assert overlaps(one, 19.0, 30.0)
    assert overlaps(one, 5.0, 30.0)
    assert not overlaps(one, 1.0, 10.0)
    assert not overlaps(one, 20.0, 30.0)
