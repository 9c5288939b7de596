"""Minimum, mean and maximum of a figure over workers."""

from hypothesis import given
from hypothesis import strategies as st

from service.spread import Spread, spread


def test_a_spread_ignores_none():
    assert spread([None, 1.0, 4.0, None, 4.0]) == Spread(1.0, 3.0, 4.0)
    assert spread([None]) is None
    assert spread([]) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_the_mean_lies_between(values):
    seen = spread(values)
    assert seen is not None
    assert seen.least <= seen.mean + 1e-3
    assert seen.mean <= seen.most + 1e-3
