"""The room that engines keep for intermediate values, bounded over all that a process has loaded.

An engine keeps what its largest run took, for each width of each model: all of them together came
to several times what any run needs. Taking it anew costs a tenth of the run that does.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

MOST_BYTES = 128 << 20
"""Enough for the pictures of most services in all widths at once."""


class Lock(Protocol):
    """Of `threading`, the kind that one thread may take more than once."""

    def acquire(self, blocking: bool = True) -> bool:
        """Take it; with `blocking` False, answer whether that was possible at once."""

    def release(self) -> None:
        """Let go of it."""


class Room:
    """What one width of a model keeps. Whatever runs in it holds `lock`; `give_back` is what makes
    the engine let go of it."""

    def __init__(self, lock: Lock, give_back: Callable[[], None]) -> None:
        self.size = 0
        """In bytes."""
        self.last_run = 0
        """Its number among all runs."""
        self._lock = lock
        self._give_back = give_back

    def empty(self) -> None:
        """Give it back, unless something runs in it."""
        if self._lock.acquire(blocking=False):
            try:
                self._give_back()
                self.size = 0
            finally:
                self._lock.release()


class Rooms:
    """Knows all rooms that are in use, and empties those first in which nothing ran for longest."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._rooms: weakref.WeakSet[Room] = weakref.WeakSet()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """What all keep together, in bytes."""
        return sum(room.size for room in self._rooms)

    def take(self, room: Room, size: int) -> None:
        """Note that a run begins that needs so many bytes, and empty others where it gets too
        much. To be called with the room's lock held."""
        with self._lock:
            self._rooms.add(room)
            room.size, room.last_run = max(room.size, size), next(self._numbers)
            for other in sorted(self._rooms, key=lambda one: one.last_run)[:-1]:
                if self.size <= self._most_bytes:
                    break
                other.empty()


ROOMS = Rooms()
"""Of this process."""
