"""Memory kept for intermediate values stays within a limit; the oldest is released first."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from workers.runtimes.arenas import Arena, ArenaLimit


def nothing() -> None:
    """Free nothing."""


def test_the_least_recently_used_arena_is_released_first() -> None:
    freed: list[int] = []

    def goes(number: int) -> Callable[[], None]:
        return lambda: freed.append(number)

    made = [Arena(threading.RLock(), goes(number)) for number in range(4)]
    arenas = ArenaLimit(max_bytes=10)
    for arena in (made[0], made[1], made[0], made[2]):
        arenas.reserve(arena, 3)
    assert (freed, arenas.size) == ([], 9)
    arenas.reserve(made[3], 4)
    assert (freed, arenas.size) == ([1], 10)
    arenas.reserve(made[3], 1)
    assert arenas.size == 10, "an arena keeps the size of its largest run"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30))))
def test_the_sum_stays_within_the_limit_or_the_current_run(
    runs: list[tuple[int, int]],
) -> None:
    made = [Arena(threading.RLock(), nothing) for _ in range(6)]
    arenas = ArenaLimit(max_bytes=20)
    for number, size in runs:
        arenas.reserve(made[number], size)
        assert arenas.size <= max(20, made[number].size)
        assert made[number].size >= size


def test_an_arena_in_use_is_not_released() -> None:
    lock = threading.RLock()
    busy, other = Arena(lock, nothing), Arena(threading.RLock(), nothing)
    arenas = ArenaLimit(max_bytes=5)
    arenas.reserve(busy, 5)
    holds, done = threading.Event(), threading.Event()

    def run() -> None:
        with lock:
            holds.set()
            done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    holds.wait()
    arenas.reserve(other, 5)
    assert arenas.size == 10
    done.set()
    thread.join()
    arenas.reserve(other, 5)
    assert arenas.size == 5


def test_arenas_of_deleted_sessions_do_not_count() -> None:
    arenas, arena = ArenaLimit(max_bytes=5), Arena(threading.RLock(), nothing)
    arenas.reserve(arena, 5)
    del arena
    gc.collect()
    assert arenas.size == 0
