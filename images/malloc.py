"""glibc's malloc: its parameters, and its free memory. No effect on other C libraries."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3), as numbered in malloc.h."""


def set_parameters(settings: Iterable[tuple[int, int]]) -> None:
    """Set parameters for the process. To be called early: threads keep the arena they have."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        for parameter, value in settings:
            mallopt(parameter, value)


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
