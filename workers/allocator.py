"""glibc's malloc, configured to return freed memory to the system (`images.malloc`).

By default it keeps freed memory: larger blocks the more of them it has seen, in an arena per
thread, and below any block that is still in use. After a large picture that was a third of a
worker's memory, which the encoder needed.
"""

from __future__ import annotations

from images.malloc import ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD, set_parameters

MEBIBYTE = 1 << 20
SETTINGS = (
    # Larger blocks are returned at once. With 32 MiB, 100 megapixels take 40 MB more; with 4 MiB,
    # tiles take 5 % longer.
    (MMAP_THRESHOLD, 8 * MEBIBYTE),
    (TRIM_THRESHOLD, 64 * MEBIBYTE),  # else the heap would shrink and grow with every call
    (ARENA_MAX, 1),  # threads rarely allocate at once, and cannot reuse memory of other arenas
)


def configure() -> None:
    """Configure malloc for the process, early."""
    set_parameters(SETTINGS)
