"""The output pixels that a training step computes, and those with all their neighbours."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from models.training.queries import draw_queries


def drawn(size, count, halo, seed):
    return draw_queries(size, count, halo, torch.Generator().manual_seed(seed))


sides = st.integers(1, 20)


@given(size=st.tuples(sides, sides), count=st.integers(1, 20), seed=st.integers(0, 99))
def test_pixels_made_by_themselves_are_drawn_anywhere_and_all_judged(size, count, seed):
    queries = drawn(size, count, 0, seed)
    for where, side in zip(queries[:2], size, strict=True):
        places = where.tolist()
        assert len(places) == min(count, side)
        assert places == sorted(set(places))
        assert 0 <= places[0] <= places[-1] < side
    picture = torch.arange(size[0] * size[1]).view(1, 1, *size)
    expected = picture[:, :, queries.rows][:, :, :, queries.columns]
    assert torch.equal(queries.loss_pixels_of(picture), expected)


@settings(deadline=None)  # the first convolution of a process takes its time
@given(
    size=st.tuples(sides, sides),
    halo=st.integers(1, 2),
    more=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_what_is_judged_of_mixed_pixels_is_as_in_the_whole_picture(size, halo, more, seed):
    """A convolution that reaches `halo` pixels, as heads end in, over a picture of its own."""
    queries = drawn(size, 2 * halo + more, halo, seed)
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(1, 1, *(2 * [2 * halo + 1]), generator=generator).double()
    picture = torch.randn(1, 1, *size, generator=generator).double()
    made = picture[:, :, queries.rows][:, :, :, queries.columns]
    loss_rows = queries.loss_pixels(F.conv2d(made, kernel, padding=halo))
    assert loss_rows.numel() > 0
    torch.testing.assert_close(
        loss_rows, queries.loss_pixels_of(F.conv2d(picture, kernel, padding=halo))
    )


@pytest.mark.parametrize("halo", [0, 1])
def test_every_pixel_is_judged_at_times(halo):
    places, loss_rows = torch.arange(99).view(1, 1, 9, 11), set()
    for seed in range(200):
        loss_rows |= set(drawn((9, 11), 5, halo, seed).loss_pixels_of(places).flatten().tolist())
    assert loss_rows == set(range(99))
