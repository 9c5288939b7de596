"""glibc's malloc, configured so that pictures take memory only while they are held. No effect on
other C libraries.

By default malloc places blocks of up to 32 MiB in its heap once it has seen some of that size.
There a growing buffer is copied and leaves gaps: 16 uploads of 31 MiB took half as much again,
and memory was kept when they had gone.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), as numbered in malloc.h."""

MEBIBYTE = 1 << 20
SETTINGS = (
    (MMAP_THRESHOLD, MEBIBYTE),  # larger blocks grow in place, and are returned at once
    (TRIM_THRESHOLD, 16 * MEBIBYTE),  # else the heap would shrink and grow with every call
)


def configure() -> None:
    """Configure malloc for the process."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for setting in SETTINGS:
            mallopt(*setting)
