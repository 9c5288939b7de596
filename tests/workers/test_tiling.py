"""The plan of tiles, by its rules, for any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import axis_grid
from workers.tiling import Span, cut_axis, plan_tiles

sizes = st.integers(1, 300)
growths = st.integers(0, 900)


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    n_in = draw(sizes)
    return n_in, n_in + draw(growths), draw(st.integers(1, n_in)), draw(st.integers(0, 40))


def covers(windows: list[tuple[int, int]], size: int) -> bool:
    """Whether windows follow one another without gap or overlap from 0 to `size`."""
    starts, stops = zip(*windows, strict=True)
    return starts == (0, *stops[:-1]) and stops[-1] == size


@given(axes())
def test_cores_and_outputs_partition_their_axes(axis: tuple[int, int, int, int]) -> None:
    n_in, n_out, parts, halo = axis
    spans = cut_axis(n_in, n_out, parts, halo)
    assert covers([span.core for span in spans], n_in)
    assert covers([span.output for span in spans], n_out)


@given(axes())
def test_spans_are_nearly_equal(axis: tuple[int, int, int, int]) -> None:
    n_in, n_out, parts, halo = axis
    lengths = [s.core[1] - s.core[0] for s in cut_axis(n_in, n_out, parts, halo)]
    assert max(lengths) - min(lengths) <= 1


@given(axes())
def test_the_nearest_input_pixel_of_every_output_pixel_lies_in_the_core(
    axis: tuple[int, int, int, int],
) -> None:
    n_in, n_out, parts, halo = axis
    for span in cut_axis(n_in, n_out, parts, halo):
        for output in range(*span.output):
            assert span.core[0] <= (2 * output + 1) * n_in // (2 * n_out) < span.core[1]


@given(axes())
def test_the_halo_is_whole_but_for_the_edges_of_the_picture(
    axis: tuple[int, int, int, int],
) -> None:
    n_in, n_out, parts, halo = axis
    for span in cut_axis(n_in, n_out, parts, halo):
        assert span.window == (max(0, span.core[0] - halo), min(n_in, span.core[1] + halo))


@given(axes())
def test_a_span_has_the_same_offsets_as_the_whole_axis(axis: tuple[int, int, int, int]) -> None:
    n_in, n_out, parts, halo = axis
    whole = axis_grid(n_in, n_out)
    slots = whole.offset.shape[1]
    for span in cut_axis(n_in, n_out, parts, halo):
        grid = axis_grid(n_in, n_out, span.window, span.output)
        assert (grid.offset == whole.offset[slice(*span.window)]).all()
        shifted = grid.index + span.window[0] * slots
        assert (shifted == whole.index[slice(*span.output)]).all()


@given(sizes, sizes, st.integers(1, 50_000), st.integers(0, 30))
def test_cores_hold_at_most_the_pixels_allowed(h: int, w: int, most: int, halo: int) -> None:
    tiles = plan_tiles((h, w), (2 * h, 3 * w), halo, most)
    for tile in tiles:
        rows, columns = tile.rows.core, tile.columns.core
        assert (rows[1] - rows[0]) * (columns[1] - columns[0]) <= most
    assert (len(tiles) == 1) == (h * w <= most)


def test_what_fits_is_one_tile_without_halo() -> None:
    [tile] = plan_tiles((512, 512), (777, 1024), halo=34, max_pixels=512 * 512)
    assert tile.rows == Span(core=(0, 512), window=(0, 512), output=(0, 777))
    assert tile.window_pixels == 512 * 512


def test_a_square_is_cut_into_squares() -> None:
    tiles = plan_tiles((1024, 1024), (2048, 2048), halo=20, max_pixels=512 * 512)
    assert len(tiles) == 4
    assert {tile.window_pixels for tile in tiles} == {532 * 532}


def test_a_long_strip_is_planned_at_once() -> None:
    tiles = plan_tiles((1, 1_000_000), (1, 2_000_000), halo=10, max_pixels=100_000)
    assert len(tiles) == 10


@pytest.mark.parametrize(
    ("size", "output", "halo", "most"),
    [
        ((0, 5), (5, 5), 0, 10),
        ((5, 5), (4, 5), 0, 10),
        ((5, 5), (5, 4), 0, 10),
        ((5, 5), (5, 5), -1, 10),
        ((5, 5), (5, 5), 0, 0),
    ],
)
def test_impossible_plans_are_refused(
    size: tuple[int, int], output: tuple[int, int], halo: int, most: int
) -> None:
    with pytest.raises(ValueError, match=r"cannot tile|must be at least"):
        plan_tiles(size, output, halo, most)
