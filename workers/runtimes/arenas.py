"""A process-wide limit on the memory that engines keep for intermediate values.

For each width of each model an engine keeps as much as its largest run needed. The sum over all
widths is several times what any single run needs. Allocating it again costs a tenth of a run.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

DEFAULT_MAX_BYTES = 128 << 20
"""Enough for the pictures of most services in all widths at once."""


class Lock(Protocol):
    """A reentrant lock of `threading`."""

    def acquire(self, blocking: bool = True) -> bool:
        """Acquire the lock and return True; return False if `blocking` is False and it is held."""

    def release(self) -> None:
        """Release the lock."""


class Arena:
    """Memory that an engine keeps between the runs of one width of a model.

    A run holds `lock` while it uses the arena; `free` makes the engine release the memory.
    """

    def __init__(self, lock: Lock, free: Callable[[], None]) -> None:
        self.size = 0
        """In bytes."""
        self.last_run = 0
        """Sequence number of the last run, among all runs of the process."""
        self._lock = lock
        self._free = free

    def release(self) -> None:
        """Free the memory, unless a run is using it."""
        if self._lock.acquire(blocking=False):
            try:
                self._free()
                self.size = 0
            finally:
                self._lock.release()


class ArenaLimit:
    """Keeps the sum of all arenas within a limit by releasing the least recently used ones."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._arenas: weakref.WeakSet[Arena] = weakref.WeakSet()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The sum of all arenas, in bytes."""
        return sum(arena.size for arena in self._arenas)

    def reserve(self, arena: Arena, size: int) -> None:
        """Record that a run of `size` bytes starts in an arena; release others over the limit.

        Called with the arena's lock held.
        """
        with self._lock:
            self._arenas.add(arena)
            arena.size, arena.last_run = max(arena.size, size), next(self._numbers)
            for other in sorted(self._arenas, key=lambda one: one.last_run)[:-1]:
                if self.size <= self._max_bytes:
                    break
                other.release()


ARENAS = ArenaLimit()
"""The limit of this process."""
