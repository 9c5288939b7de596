"""The size that an error names fits its limit, and no larger one of its shape does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from images.limits import fitting_size

SIDE = st.integers(1, 1_000_000)


@given(SIDE, SIDE, st.integers(1, 10**9))
def test_a_fitting_size_fits_and_keeps_the_shape(width: int, height: int, limit: int) -> None:
    fit_width, fit_height = fitting_size(width, height, limit)
    assert fit_width >= 1
    assert fit_height >= 1
    assert fit_width * fit_height <= limit
    if fit_height > 1 and fit_width > 1:
        assert 0 <= fit_width * height / width - fit_height < 1
        assert (fit_width + 1) ** 2 * height > limit * width


def test_a_known_size() -> None:
    assert fitting_size(8000, 6000, 25_000_000) == (5773, 4329)
