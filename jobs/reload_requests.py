"""Requests to read the model folder again, from the queue or by SIGHUP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Set


class ReloadRequests:
    """Requests that were not answered yet. Requests that arrive during a reload are coalesced."""

    def __init__(self) -> None:
        self._observed = 0
        self._pending = asyncio.Event()
        self.models: frozenset[str] = frozenset()
        """Models that callers have requested and that are loaded only on demand."""

    def request(self) -> None:
        """Request a reload of this process."""
        self._pending.set()

    def observe(self, number: int) -> None:
        """Note the number of the last request to all processes. Any change of it is a request: at
        the start it may be newer than the models that were read, and a lower number means that the
        queue has lost its count."""
        if number != self._observed:
            self._observed = number
            self._pending.set()

    def observe_models(self, models: Set[str]) -> None:
        """Note the requested models. A new one is a request."""
        if not models <= self.models:
            self.models |= models
            self._pending.set()

    async def next(self) -> int:
        """Wait for a request; return the number that a reload from now on answers."""
        await self._pending.wait()
        self._pending.clear()
        return self._observed


@contextlib.contextmanager
def on_hangup(reload: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Let SIGHUP call `reload` in the running event loop; or `stop`, if this process had a terminal
    that is now closed, which sends the same signal."""
    loop = asyncio.get_running_loop()
    on_terminal = _has_terminal()

    def on_signal() -> None:
        if on_terminal and not _has_terminal():
            stop()
        else:
            reload()

    loop.add_signal_handler(signal.SIGHUP, on_signal)
    # A pool starts its processes with SIGHUP blocked: without a handler it would end them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _has_terminal() -> bool:
    """Return whether standard input is an open terminal."""
    try:
        return os.isatty(sys.__stdin__.fileno()) if sys.__stdin__ is not None else False
    except (OSError, ValueError):
        return False
