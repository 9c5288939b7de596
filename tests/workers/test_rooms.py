"""What engines keep for intermediate values stays within a bound, the oldest first to go."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from workers.runtimes.rooms import Room, Rooms


def nothing() -> None:
    """Give nothing back."""


def test_what_ran_longest_ago_goes_first() -> None:
    given_back: list[int] = []

    def goes(number: int) -> Callable[[], None]:
        return lambda: given_back.append(number)

    made = [Room(threading.RLock(), goes(number)) for number in range(4)]
    rooms = Rooms(most_bytes=10)
    for room in (made[0], made[1], made[0], made[2]):
        rooms.take(room, 3)
    assert (given_back, rooms.size) == ([], 9)
    rooms.take(made[3], 4)
    assert (given_back, rooms.size) == ([1], 10)
    rooms.take(made[3], 1)
    assert rooms.size == 10, "an engine keeps what its largest run took"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30))))
def test_no_more_is_kept_than_the_bound_or_what_runs_needs(runs: list[tuple[int, int]]) -> None:
    made = [Room(threading.RLock(), nothing) for _ in range(6)]
    rooms = Rooms(most_bytes=20)
    for number, size in runs:
        rooms.take(made[number], size)
        assert rooms.size <= max(20, made[number].size)
        assert made[number].size >= size


def test_a_room_in_which_something_runs_stays() -> None:
    lock = threading.RLock()
    busy, other = Room(lock, nothing), Room(threading.RLock(), nothing)
    rooms = Rooms(most_bytes=5)
    rooms.take(busy, 5)
    holds, done = threading.Event(), threading.Event()

    def run() -> None:
        with lock:
            holds.set()
            done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    holds.wait()
    rooms.take(other, 5)
    assert rooms.size == 10
    done.set()
    thread.join()
    rooms.take(other, 5)
    assert rooms.size == 5


def test_the_rooms_of_a_session_that_is_gone_do_not_count() -> None:
    rooms, room = Rooms(most_bytes=5), Room(threading.RLock(), nothing)
    rooms.take(room, 5)
    del room
    gc.collect()
    assert rooms.size == 0
