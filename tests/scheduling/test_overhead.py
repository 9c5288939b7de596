"""The overhead follows the level that forty-nine of fifty answers stay below."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.overhead import LEAST_MS, MOST_MS, Overhead


@pytest.mark.parametrize("first", [1.0, 10.0, 500.0])
def test_forty_nine_of_fifty_answers_stay_below(first: float) -> None:
    overhead, random = Overhead(first), np.random.default_rng(0)
    seen = random.gamma(2.0, 10.0, 5000)
    below = []
    for ms in seen:
        below.append(ms <= overhead.ms)
        overhead.observe(float(ms))
    assert np.mean(below[1000:]) == pytest.approx(0.98, abs=0.005)


@given(st.lists(st.floats(0, 1e6), max_size=200))
def test_the_overhead_stays_within_its_bounds(seen: list[float]) -> None:
    overhead = Overhead(10.0)
    for ms in seen:
        overhead.observe(ms)
        assert LEAST_MS <= overhead.ms <= MOST_MS
