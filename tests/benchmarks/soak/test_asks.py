"""What is asked follows from the seed, and leaves no kind out."""

from __future__ import annotations

from itertools import islice

import pytest

from benchmarks.soak.asks import LAYOUTS, ON_DEMAND, Drawing, Way, asks
from benchmarks.soak.drawing import damaged, fault_of, file_of
from jobs.formats import WRITTEN
from models.catalog import SHIPPED, read_catalog

FIRST = list(islice(asks(1), 400))
"""Fewer than the first quarter of an hour has."""


def test_a_seed_asks_the_same_again_and_another_one_something_else() -> None:
    assert list(islice(asks(1), 50)) == FIRST[:50]
    assert list(islice(asks(2), 50)) != FIRST[:50]


def test_every_way_model_and_format_is_asked_for_early() -> None:
    assert {ask.way for ask in FIRST} == set(Way)
    named = {ask.parameters.get("model") for ask in FIRST}
    ladder = {entry.name for entry in read_catalog(SHIPPED).models if entry.in_ladder}
    assert named == {None, *ladder, *ON_DEMAND}
    assert {drawn.format for ask in FIRST for drawn in ask.drawings} == {f for f, _ in LAYOUTS}
    assert {ask.parameters.get("format") for ask in FIRST} == {None, *map(str, WRITTEN)}


def test_no_model_is_asked_for_a_scale_that_it_lacks() -> None:
    catalog = read_catalog(SHIPPED)
    for ask in FIRST:
        if model := ask.parameters.get("model"):
            assert ask.scale <= catalog.get(model).max_scale


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_has_the_sides_that_were_asked_for_and_a_damaged_one_differs(
    layout: tuple[str, str],
) -> None:
    file = file_of(Drawing(*layout, 33, 27, seed=5))
    assert fault_of(file, 33, 27) == ""
    assert fault_of(file, 34, 27) == "the picture has 33x27 pixels, not 34x27"
    assert damaged(file, 1) != file[: len(damaged(file, 1))]


def test_what_is_no_picture_is_a_fault() -> None:
    assert fault_of(b"nothing", 1, 1).startswith("the picture cannot be read")
