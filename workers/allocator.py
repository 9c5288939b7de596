"""glibc's malloc, configured to return freed memory to the system. No effect on other C libraries.

By default it keeps freed memory: larger blocks the more of them it has seen, in an arena per
thread, and below any block that is still in use. After a large picture that was a third of a
worker's memory, which the encoder needed.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3), as numbered in malloc.h."""

MEBIBYTE = 1 << 20
SETTINGS = (
    # Larger blocks are returned at once. With 32 MiB, 100 megapixels take 40 MB more; with 4 MiB,
    # tiles take 5 % longer.
    (MMAP_THRESHOLD, 8 * MEBIBYTE),
    (TRIM_THRESHOLD, 64 * MEBIBYTE),  # else the heap would shrink and grow with every call
    (ARENA_MAX, 1),  # threads rarely allocate at once, and cannot reuse memory of other arenas
)


def configure() -> None:
    """Configure malloc for the process. To be called early: threads keep the arena they have."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        for setting in SETTINGS:
            mallopt(*setting)


def trim() -> None:
    """Return free memory to the system."""
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _function(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, None where it does not exist."""
    if sys.platform != "linux":
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
