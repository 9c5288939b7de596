"""Windows: nothing is lost between cutting and joining, and none is larger than its map."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from models.architectures.windows import (
    extend_to_multiple,
    join_windows,
    split_windows,
    window_sides,
)

SIDES = st.integers(1, 13)


@given(SIDES, SIDES, SIDES, SIDES)
def test_what_was_cut_is_joined_as_it_was(height, width, high, wide):
    x = torch.rand(2, 3, height, width)
    windows = split_windows(x, high, wide)
    assert windows.shape == (2 * -(-height // high) * -(-width // wide), 3, high, wide)
    assert torch.equal(join_windows(windows, 2, height, width), x)
    assert torch.isclose(windows.sum(), x.sum())  # zero beyond the map


@given(st.none() | SIDES, SIDES, SIDES)
def test_windows_are_no_larger_than_the_map(window, height, width):
    high, wide = window_sides(window, height, width)
    assert (high, wide) == (min(window or height, height), min(window or width, width))


def test_a_map_is_extended_by_its_last_line_or_mirrored():
    x = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert extend_to_multiple(x, 4)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert extend_to_multiple(x, 4, reflect=True)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
