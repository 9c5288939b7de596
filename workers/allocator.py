"""glibc's malloc, told to give memory back to the system. With another C library nothing is done.

By itself it holds on to what is freed: the more so the larger it was, in each thread's own arena,
and wherever something small lies behind it. After a large picture that was a third of what a worker
held, when the encoder needed the room.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3), by their numbers in malloc.h."""

MEBIBYTE = 1 << 20
SETTINGS = (
    # What is freed from here on goes back at once. From 32 MiB on, 100 megapixels take 40 MB more;
    # from 4 MiB on, tiles take 5 % longer.
    (MMAP_THRESHOLD, 8 * MEBIBYTE),
    (TRIM_THRESHOLD, 64 * MEBIBYTE),  # else the end of the heap would go and come with each call
    (ARENA_MAX, 1),  # threads seldom ask at the same time, and one cannot use what another freed
)


def configure() -> None:
    """Set malloc up, for the whole process: early, for an arena that a thread has stays its own."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        for setting in SETTINGS:
            mallopt(*setting)


def trim() -> None:
    """Give back what is free."""
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, None where it has none of that name."""
    if sys.platform != "linux":
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
