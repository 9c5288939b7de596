"""When a process reads its model folder again: told by the queue, or by a SIGHUP of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Set


class ReloadRequests:
    """Calls that came and were not yet answered; many that come during one reading are one."""

    def __init__(self) -> None:
        self._heard = 0
        self._asked = asyncio.Event()
        self.models: frozenset[str] = frozenset()
        """What callers have asked for of the models that are loaded only then."""

    def request(self) -> None:
        """Call here and now."""
        self._asked.set()

    def observe(self, number: int) -> None:
        """Take in the number of the last call to all. Any other than the one before is a call: at
        a start, for it may be newer than what was read, and when the queue has lost its count."""
        if number != self._heard:
            self._heard = number
            self._asked.set()

    def observe_models(self, models: Set[str]) -> None:
        """Take in the models that were asked for. One that is new is a call."""
        if not models <= self.models:
            self.models |= models
            self._asked.set()

    async def next(self) -> int:
        """Wait for a call; return the number that a reading from now on is an answer to."""
        await self._asked.wait()
        self._asked.clear()
        return self._heard


@contextlib.contextmanager
def on_hangup(reload: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGHUP call `reload` in the running event loop; or `stop`, when this process had a
    terminal that is now closed, for which it is the same signal."""
    loop = asyncio.get_running_loop()
    on_terminal = _has_terminal()

    def heard() -> None:
        if on_terminal and not _has_terminal():
            stop()
        else:
            reload()

    loop.add_signal_handler(signal.SIGHUP, heard)
    # A pool starts its processes with it blocked, for until now it would have ended them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _has_terminal() -> bool:
    """Return whether standard input is a terminal that is there."""
    try:
        return os.isatty(sys.__stdin__.fileno()) if sys.__stdin__ is not None else False
    except (OSError, ValueError):
        return False
