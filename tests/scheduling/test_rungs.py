"""Rungs as text: one form, MODEL@WIDTH, for costs, options and reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.rungs import FLOOR, Rung


@given(st.text(min_size=1), st.sampled_from((0.25, 1 / 3, 0.5, 2 / 3, 1.0)))
def test_a_rung_is_read_back_from_its_key(model: str, width: float) -> None:
    read = Rung.parse(Rung(model, width).key)
    assert read.model == model
    assert read.width == pytest.approx(width, abs=1e-6)


def test_the_floor_needs_no_width() -> None:
    assert Rung.parse("lanczos") == Rung.parse("lanczos@0") == FLOOR


@pytest.mark.parametrize("text", ["", "anysr-m", "@1", "anysr-m@", "anysr-m@wide"])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not MODEL@WIDTH, such as anysr-m@1"):
        Rung.parse(text)
