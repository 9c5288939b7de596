"""A worker that waits for a core is recorded as a fault; one that sleeps is not."""

from __future__ import annotations

import asyncio
import io
import os
from dataclasses import dataclass

import pytest

from benchmarks.nemesis import starving
from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Recorder, What, events_of
from benchmarks.nemesis.starving import record_starving, waits_s
from tests.support.waiting import eventually


@dataclass
class Process:
    """A worker of which only the process counts."""

    pid: int


def test_a_process_has_waited_for_some_time_and_one_that_has_ended_for_none() -> None:
    found = waits_s([Process(os.getpid()), Process(0)])  # type: ignore[list-item]
    assert list(found) == [os.getpid()]
    assert found[os.getpid()] >= 0.0


async def test_only_a_window_in_which_a_worker_waited_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    windows = [{1: 5.0, 2: 9.0}, {1: 5.0, 2: 9.0}, {1: 5.0, 2: 9.1}, {1: 5.0, 2: 10.0}, {3: 7.0}]
    given = iter([*windows, *[windows[-1]] * 1000])
    monkeypatch.setattr(starving, "WINDOW_S", 0.01)
    monkeypatch.setattr(starving, "STARVED", 50.0)  # half a second in each
    looks = 0

    def looked(_: object) -> dict[int, float]:
        nonlocal looks
        looks += 1
        return next(given)

    monkeypatch.setattr(starving, "waits_s", looked)
    file = io.StringIO()
    task = asyncio.create_task(record_starving((), Recorder(file)))
    await eventually(lambda: looks > len(windows), "a look at every window")
    task.cancel()
    events = list(events_of(file.getvalue().splitlines()))
    assert [(event.what, event.text) for event in events] == [(What.FAULT, Kind.STARVED.value)]
