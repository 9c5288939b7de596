"""Time in which everything stands still is recorded, and no time of a run."""

from __future__ import annotations

import asyncio
import io

from benchmarks.nemesis.faults import Kind
from benchmarks.nemesis.history import Recorder, What, events_of
from benchmarks.nemesis.standstill import STALL_S, TICK_S, Standstill
from tests.support.waiting import eventually


class Clocked(Recorder):
    """A recorder whose clock the test advances."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def recorded(self) -> list[tuple[What, str | None, float, float | None]]:
        lines = self._file.getvalue().splitlines()  # type: ignore[attr-defined]
        return [(event.what, event.text, event.at, event.until) for event in events_of(lines)]


async def test_a_standstill_is_recorded_once() -> None:
    recorder = Clocked()
    time = Standstill(recorder)
    tasks = [asyncio.create_task(time.watch()), asyncio.create_task(time.until(100.0))]
    await asyncio.sleep(0)
    recorder.time += STALL_S + TICK_S
    await eventually(recorder.recorded, "a fault")
    for task in tasks:
        task.cancel()
    assert recorder.recorded() == [(What.FAULT, Kind.STALL.value, 0.0, STALL_S + TICK_S)]


async def test_a_run_goes_on_after_a_standstill_where_it_was() -> None:
    recorder = Clocked()
    waiting = asyncio.create_task(Standstill(recorder).until(2.0))
    await asyncio.sleep(0)
    recorder.time += 300.0
    await eventually(recorder.recorded, "a fault")
    assert not waiting.done()

    def goes_on() -> bool:
        recorder.time += STALL_S / 50  # at each of several looks between two ticks
        return waiting.done()

    await eventually(goes_on, "the end of two seconds")
    assert recorder.time >= 302.0
    assert len(recorder.recorded()) == 1
