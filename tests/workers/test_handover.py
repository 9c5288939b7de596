"""A call that is handed over to a thread: its result, its error, and a caller who is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from workers.handover import run_on


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, "executing") as made:
        yield made


async def test_the_result_of_a_call_on_the_thread(thread: ThreadPoolExecutor) -> None:
    name = await run_on(thread, lambda: threading.current_thread().name)
    assert name.startswith("executing")


async def test_the_error_of_a_call(thread: ThreadPoolExecutor) -> None:
    with pytest.raises(MemoryError, match="too large"):
        await run_on(thread, lambda: _raise(MemoryError("too large")))
    assert await run_on(thread, lambda: 7) == 7


async def test_a_cancelled_caller_does_not_end_the_call(thread: ThreadPoolExecutor) -> None:
    goes_on, ended = threading.Event(), threading.Event()

    def call() -> None:
        goes_on.wait()
        ended.set()

    caller = asyncio.create_task(run_on(thread, call))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert not ended.is_set()
    goes_on.set()
    assert await run_on(thread, ended.is_set)


async def test_a_thread_that_was_shut_down(thread: ThreadPoolExecutor) -> None:
    thread.shutdown()
    with pytest.raises(RuntimeError):
        await run_on(thread, lambda: 7)


def _raise(error: Exception) -> None:
    raise error
