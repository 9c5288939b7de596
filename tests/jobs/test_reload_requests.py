"""Calls to reload: none is lost, many at once are one; and what SIGHUP means."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from jobs.reload_requests import ReloadRequests, on_hangup

PATIENCE_S = 10.0
ROOT = Path(__file__).parents[2]
LISTENER = """
import asyncio
from jobs.reload_requests import on_hangup

async def main():
    stop = asyncio.Event()
    with on_hangup(lambda: print("reloaded", flush=True), stop.set):
        print("ready", flush=True)
        await stop.wait()
    print("stopped", flush=True)

asyncio.run(main())
"""


async def called(calls: ReloadRequests) -> int | None:
    """The number of a call that is there, else None."""
    try:
        async with asyncio.timeout(0):
            return await calls.next()
    except TimeoutError:
        return None


async def test_each_new_number_is_a_call_once() -> None:
    calls = ReloadRequests()
    calls.observe(0)
    assert await called(calls) is None
    for number in (1, 1, 3):
        calls.observe(number)
    assert await called(calls) == 3
    calls.observe(3)
    assert await called(calls) is None


async def test_a_count_that_was_lost_is_a_call() -> None:
    calls = ReloadRequests()
    calls.observe(7)
    assert await called(calls) == 7
    calls.observe(0)
    assert await called(calls) == 0


async def test_a_call_during_an_answer_is_answered_next() -> None:
    calls = ReloadRequests()
    calls.request()
    assert await called(calls) == 0
    calls.request()
    calls.observe(1)
    assert await called(calls) == 1
    assert await called(calls) is None


async def test_a_model_that_is_newly_asked_for_is_a_call_once() -> None:
    calls = ReloadRequests()
    calls.observe_models(frozenset())
    assert await called(calls) is None
    calls.observe_models(frozenset({"a"}))
    assert await called(calls) == 0
    calls.observe_models(frozenset({"a"}))
    assert await called(calls) is None
    calls.observe_models(frozenset({"b"}))
    assert await called(calls) == 0
    assert calls.models == {"a", "b"}


async def test_a_hangup_is_a_call() -> None:
    calls = ReloadRequests()
    with on_hangup(calls.request, lambda: None):
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            assert await calls.next() == 0


def listener(*before: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """A process that says on standard output what it is told."""
    command = [*before, sys.executable, "-c", LISTENER]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, cwd=ROOT)


def test_a_hangup_that_came_before_a_process_could_hear_it_is_heard() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        process = listener()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    process.send_signal(signal.SIGHUP)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert process.stdout.readline() == b"reloaded\n"
        process.kill()


def test_the_end_of_its_terminal_stops_a_process() -> None:
    """SIGHUP while the terminal is there is a call; when it is closed, it is the end."""
    ours, theirs = pty.openpty()
    process = listener("setsid", "--ctty", stdin=theirs)
    os.close(theirs)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == b"reloaded\n"
        os.close(ours)
        assert process.stdout.readline() == b"stopped\n"
        assert process.wait(PATIENCE_S) == 0
