"""glibc's malloc, configured so that pictures take memory only while they are held
(`images.malloc`).

By default malloc places blocks of up to 32 MiB in its heap once it has seen some of that size.
There a growing buffer is copied and leaves gaps: 16 uploads of 31 MiB took half as much again,
and memory was kept when they had gone.
"""

from __future__ import annotations

from images.malloc import ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD, set_parameters

MEBIBYTE = 1 << 20
SETTINGS = (
    (MMAP_THRESHOLD, MEBIBYTE),  # larger blocks grow in place, and are returned at once
    (TRIM_THRESHOLD, 16 * MEBIBYTE),  # else the heap would shrink and grow with every call
    (ARENA_MAX, 1),  # threads rarely allocate at once, and cannot reuse memory of other arenas
)


def configure() -> None:
    """Configure malloc for the process, early."""
    set_parameters(SETTINGS)
