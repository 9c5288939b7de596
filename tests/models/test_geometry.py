"""Sampling positions: exact, within half a pixel, and the same for a tile as for the whole."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import axis_grid, output_size

axes = st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(n, 8 * n)))


@given(axes)
def test_every_output_pixel_is_at_its_exact_offset_from_the_nearest_input_pixel(axis):
    n_in, n_out = axis
    grid = axis_grid(n_in, n_out)
    slots = grid.offset.shape[1]
    assert grid.offset.shape == (n_in, math.ceil(n_out / n_in))
    for output, flat in enumerate(grid.index):
        centre = Fraction(2 * output + 1, 2) * Fraction(n_in, n_out)
        nearest = math.floor(centre)
        assert flat // slots == nearest
        exact = centre - nearest - Fraction(1, 2)
        assert -Fraction(1, 2) <= exact < Fraction(1, 2)
        assert grid.offset.flat[flat] == np.float32(float(exact))


@given(axes)
def test_offsets_stay_within_half_a_pixel_and_indices_never_repeat(axis):
    grid = axis_grid(*axis)
    assert np.abs(grid.offset).max() <= 0.5
    assert (np.diff(grid.index) > 0).all()
    assert grid.inverse_scale == axis[0] / axis[1]


@given(axes, st.data())
def test_a_window_has_the_positions_of_the_whole(axis, data):
    n_in, n_out = axis
    start = data.draw(st.integers(0, n_in - 1))
    stop = data.draw(st.integers(start + 1, n_in))
    whole = axis_grid(n_in, n_out)
    slots = whole.offset.shape[1]
    inside = np.flatnonzero((whole.index // slots >= start) & (whole.index // slots < stop))
    window = (int(inside[0]), int(inside[-1]) + 1)
    part = axis_grid(n_in, n_out, (start, stop), window)
    np.testing.assert_array_equal(part.offset, whole.offset[start:stop])
    np.testing.assert_array_equal(part.index, whole.index[inside] - start * slots)


@given(axes, st.integers(0, 30), st.integers(0, 30))
def test_a_window_may_leave_the_picture(axis, before, after):
    n_in, n_out = axis
    whole = axis_grid(n_in, n_out)
    slots = whole.offset.shape[1]
    wide = axis_grid(n_in, n_out, (-before, n_in + after))
    assert wide.offset.shape == (before + n_in + after, slots)
    assert np.abs(wide.offset).max() <= 0.5
    np.testing.assert_array_equal(wide.offset[before : before + n_in], whole.offset)
    np.testing.assert_array_equal(wide.index, whole.index + before * slots)
    assert wide.inverse_scale == whole.inverse_scale


@given(axes, st.integers(1, 5))
def test_beyond_the_picture_its_axis_goes_on(axis, times):
    """As in the middle of an axis so many times as long."""
    n_in, n_out = axis
    longer = axis_grid((2 * times + 1) * n_in, (2 * times + 1) * n_out)
    wide = axis_grid(
        n_in,
        n_out,
        (-times * n_in, (times + 1) * n_in),
        (-times * n_out, (times + 1) * n_out),
    )
    np.testing.assert_array_equal(wide.offset, longer.offset)
    np.testing.assert_array_equal(wide.index, longer.index)


@pytest.mark.parametrize(("n_in", "n_out"), [(0, 4), (4, 3)])
def test_impossible_axes_are_refused(n_in, n_out):
    with pytest.raises(ValueError, match="cannot lay"):
        axis_grid(n_in, n_out)


def test_an_output_pixel_outside_the_input_window_is_refused():
    with pytest.raises(ValueError, match="outside the input window"):
        axis_grid(10, 20, (0, 5), (0, 11))


@pytest.mark.parametrize(
    ("size", "scale", "expected"), [(100, 2.37, 237), (101, 2.5, 252), (1, 1.1, 1)]
)
def test_output_size_rounds(size, scale, expected):
    assert output_size(size, scale) == expected
