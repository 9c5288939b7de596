"""What is exempt from collections, and is freed nevertheless once nothing leads to it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from workers.garbage import collect, settle


class Knot:
    """Garbage that only a collection frees: it refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_lives_when_a_process_settles_is_visited_no_more_until_it_collects() -> None:
    knot = Knot()
    settle()
    gone = weakref.ref(knot)
    del knot
    gc.collect()
    assert gone() is not None
    collect()
    assert gone() is None
    assert gc.get_freeze_count() > 0


def test_a_process_that_never_settled_collects_as_any_other() -> None:
    gone = weakref.ref(Knot())
    collect()
    assert gone() is None
    assert gc.get_freeze_count() == 0
