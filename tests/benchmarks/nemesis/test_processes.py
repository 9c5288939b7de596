"""Processes of a run: started again when they end, and reported where nobody has killed them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.nemesis.processes import Kept
from tests.support.waiting import eventually

SLEEPING = ("sleep", "600")


@asynccontextmanager
async def kept(folder: Path, command: tuple[str, ...], died: list[str]) -> AsyncIterator[Kept]:
    with (folder / "log").open("wb") as log:
        process = Kept("one", command, os.environ, log, died.append)
        task = asyncio.create_task(process.keep())
        try:
            await eventually(lambda: process.pid, "the first start")
            yield process
        finally:
            await process.stop()
            await task


async def test_a_killed_process_is_started_again_and_no_death_is_reported(tmp_path: Path) -> None:
    died: list[str] = []
    async with kept(tmp_path, SLEEPING, died) as process:
        first = process.pid
        process.kill()
        await eventually(lambda: process.pid != first, "the next one")
        assert not psutil.pid_exists(first)
    assert not died
    assert not psutil.pid_exists(process.pid)


async def test_a_process_that_ends_by_itself_is_reported_and_started_again(tmp_path: Path) -> None:
    died: list[str] = []
    async with kept(tmp_path, ("sh", "-c", "sleep 0.01; exit 3"), died):
        await eventually(lambda: len(died) > 1, "two deaths")
    assert set(died) == {"one: status 3"}


async def test_a_stopped_process_goes_on_and_can_be_killed(tmp_path: Path) -> None:
    async with kept(tmp_path, SLEEPING, []) as process:
        state = psutil.Process(process.pid)
        process.freeze()
        await eventually(lambda: state.status() == psutil.STATUS_STOPPED, "a stopped process")
        process.thaw()
        await eventually(lambda: state.status() == psutil.STATUS_SLEEPING, "one that goes on")
        process.freeze()
        process.kill()
        await eventually(lambda: process.pid != state.pid, "the next one")
