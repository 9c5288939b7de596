"""Waiting for a condition that another task, thread or process fulfils."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

PATIENCE_S = 30.0
"""Only a broken test waits for as long as this, also on a machine that stalls for seconds."""
POLL_S = 0.01


async def eventually(
    condition: Callable[[], object], what: str, within_s: float = PATIENCE_S
) -> None:
    """Wait until a condition, a plain function or a coroutine function, returns something true.

    Raises AssertionError after `within_s` seconds, with what was waited for.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        _check(deadline, what, within_s)
        await asyncio.sleep(POLL_S)


def eventually_sync(
    condition: Callable[[], object], what: str, within_s: float = PATIENCE_S
) -> None:
    """Wait like `eventually` where no event loop runs."""
    deadline = time.monotonic() + within_s
    while not condition():
        _check(deadline, what, within_s)
        time.sleep(POLL_S)


def _check(deadline: float, what: str, within_s: float) -> None:
    assert time.monotonic() < deadline, f"waited {within_s:g} s in vain: {what}"
