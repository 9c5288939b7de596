"""Reload requests: none is lost, several at once are coalesced; and the meaning of SIGHUP."""

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


async def requested(requests: ReloadRequests) -> int | None:
    """The number of a pending request, else None."""
    try:
        async with asyncio.timeout(0):
            return await requests.next()
    except TimeoutError:
        return None


async def test_each_new_number_is_one_request() -> None:
    requests = ReloadRequests()
    requests.observe(0)
    assert await requested(requests) is None
    for number in (1, 1, 3):
        requests.observe(number)
    assert await requested(requests) == 3
    requests.observe(3)
    assert await requested(requests) is None


async def test_lost_count_is_a_request() -> None:
    requests = ReloadRequests()
    requests.observe(7)
    assert await requested(requests) == 7
    requests.observe(0)
    assert await requested(requests) == 0


async def test_request_during_a_reload_is_answered_next() -> None:
    requests = ReloadRequests()
    requests.request()
    assert await requested(requests) == 0
    requests.request()
    requests.observe(1)
    assert await requested(requests) == 1
    assert await requested(requests) is None


async def test_newly_requested_model_is_one_request() -> None:
    requests = ReloadRequests()
    requests.observe_models(frozenset())
    assert await requested(requests) is None
    requests.observe_models(frozenset({"a"}))
    assert await requested(requests) == 0
    requests.observe_models(frozenset({"a"}))
    assert await requested(requests) is None
    requests.observe_models(frozenset({"b"}))
    assert await requested(requests) == 0
    assert requests.models == {"a", "b"}


async def test_hangup_is_a_request() -> None:
    requests = ReloadRequests()
    with on_hangup(requests.request, lambda: None):
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            assert await requests.next() == 0


def listener(*before: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """A process that prints the signals it receives."""
    command = [*before, sys.executable, "-c", LISTENER]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, cwd=ROOT)


def test_hangup_before_the_handler_is_installed_is_not_lost() -> None:
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


def test_closed_terminal_stops_the_process() -> None:
    """SIGHUP with an open terminal is a request; with a closed one it ends the process."""
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
