"""Properties of the tiling, for any size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.adapters.patches import Patching
from models.catalog import read_catalog
from models.geometry import axis_grid
from scheduling.tiling import (
    CONTEXT,
    AxisTile,
    Tile,
    Tiling,
    cut_axis,
    halo_pixels,
    halves,
    patch_pixels,
    plan_tiles,
    tiling_of,
)

Size = tuple[int, int]
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
def test_tiles_of_an_axis_are_nearly_equal(axis: tuple[int, int, int, int]) -> None:
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


@given(axes(), st.data())
def test_the_halo_is_whole_but_for_the_rim_of_the_picture(
    axis: tuple[int, int, int, int], data: st.DataObject
) -> None:
    n_in, n_out, parts, halo = axis
    rim = data.draw(st.integers(0, halo))
    for span in cut_axis(n_in, n_out, parts, halo, rim):
        start, stop = span.core[0] - halo, span.core[1] + halo
        assert span.window == (max(-rim, start), min(n_in + rim, stop))


@given(axes(), st.data())
def test_a_tile_has_the_same_offsets_as_the_whole_axis(
    axis: tuple[int, int, int, int], data: st.DataObject
) -> None:
    """A single tile is the whole picture with its rim."""
    n_in, n_out, parts, halo = axis
    rim, output_halo = data.draw(st.integers(0, halo)), data.draw(st.integers(0, 3))
    [all_of_it] = cut_axis(n_in, n_out, 1, halo, rim)
    assert all_of_it.window == (-rim, n_in + rim)
    whole = axis_grid(n_in, n_out, all_of_it.window)
    slots = whole.offset.shape[1]
    for span in cut_axis(n_in, n_out, parts, halo, rim, output_halo):
        grid = axis_grid(n_in, n_out, span.window, span.made)
        start, stop = span.window
        assert (grid.offset == whole.offset[start + rim : stop + rim]).all()
        first, last = span.output
        own = grid.index[first - span.made[0] : last - span.made[0]] + (start + rim) * slots
        assert (own == whole.index[first:last]).all()


@given(axes(), st.integers(0, 3))
def test_what_is_made_is_the_output_with_its_halo_where_the_window_reaches(
    axis: tuple[int, int, int, int], output_halo: int
) -> None:
    n_in, n_out, parts, halo = axis
    for span in cut_axis(n_in, n_out, parts, halo, halo, output_halo):
        around = min(halo, output_halo)  # an output pixel is no larger than an input pixel
        assert span.made[0] <= span.output[0] - around
        assert span.made[1] >= span.output[1] + around
        assert span.made[0] >= span.output[0] - output_halo
        assert span.made[1] <= span.output[1] + output_halo


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Size, Size, Tiling]:
    size = draw(sizes), draw(sizes)
    output = size[0] + draw(growths), size[1] + draw(growths)
    bounds = draw(st.integers(1, 50_000)), draw(st.integers(1, 200_000))
    halo = draw(st.integers(0, 30))
    return size, output, Tiling(halo, *bounds, rim=draw(st.integers(0, halo)))


def area(rows: tuple[int, int], columns: tuple[int, int]) -> int:
    return (rows[1] - rows[0]) * (columns[1] - columns[0])


@given(pictures())
def test_tiles_hold_at_most_the_pixels_allowed(picture: tuple[Size, Size, Tiling]) -> None:
    size, output, tiling = picture
    tiles = plan_tiles(size, output, tiling)
    of_one_pixel = -(-output[0] // size[0]) * -(-output[1] // size[1])
    for tile in tiles:
        assert area(tile.rows.core, tile.columns.core) <= tiling.pixels
        made = area(tile.rows.output, tile.columns.output)
        assert made <= max(tiling.output_pixels, of_one_pixel)
    fits = size[0] * size[1] <= tiling.pixels and output[0] * output[1] <= tiling.output_pixels
    assert (len(tiles) == 1) == (fits or size == (1, 1))


@given(
    n_in=st.integers(1, 200),
    parts=st.integers(1, 5),
    halo=st.integers(0, 20),
    rim=st.integers(0, 20),
    multiple=st.sampled_from([1, 2, 3, 8, 16]),
)
def test_windows_begin_at_multiples_of_what_a_graph_needs(
    n_in: int, parts: int, halo: int, rim: int, multiple: int
) -> None:
    rim, parts = min(rim, halo), min(parts, n_in)
    tiles = cut_axis(n_in, 2 * n_in, parts, halo, rim, 0, multiple)
    narrow = cut_axis(n_in, 2 * n_in, parts, halo, rim)
    for tile, other in zip(tiles, narrow, strict=True):
        (start, stop), (least, most) = tile.window, other.window
        assert (start + rim) % multiple == 0
        assert (stop + rim) % multiple == 0 or stop == n_in + rim
        assert -rim <= start <= least < most <= stop <= n_in + rim
        assert least - start < multiple
        assert (tile.core, tile.output) == (other.core, other.output)


def test_a_foreign_graph_s_patches_count() -> None:
    patching = Patching(multiple=4, margin=7, overlap=8, height=64, width=0, foreign=True)
    tiling = Tiling(halo=8, patching=patching)
    # One window of 200 x 300: rows of 64 begin every 48, columns are 314, filled up to 316.
    rows = 1 + -(-(200 - 50) // 48)
    assert halo_pixels((200, 300), (400, 600), tiling) == rows * 64 * 316 - 200 * 300
    [tile] = plan_tiles((200, 300), (400, 600), tiling)
    assert patch_pixels(tile, tiling) == 64 * 316
    assert Tiling.from_dict(tiling.to_dict()) == tiling
    ours = replace(tiling, patching=Patching())
    assert "patching" not in ours.to_dict()
    assert Tiling.from_dict(ours.to_dict()) == ours


@given(pictures())
def test_halo_pixels_are_those_of_the_plan(picture: tuple[Size, Size, Tiling]) -> None:
    size, output, tiling = picture
    shown = sum(tile.window_pixels for tile in plan_tiles(size, output, tiling))
    assert halo_pixels(size, output, tiling) == shown - size[0] * size[1]


def test_what_fits_is_one_tile_without_halo() -> None:
    [tile] = plan_tiles((512, 512), (777, 1024), Tiling(halo=34, pixels=512 * 512))
    assert tile.rows == AxisTile(core=(0, 512), window=(0, 512), output=(0, 777), made=(0, 777))
    assert tile.window_pixels == 512 * 512


def test_a_rim_is_shown_on_every_side() -> None:
    tiling = Tiling(halo=34, pixels=512 * 512, rim=4)
    [tile] = plan_tiles((512, 256), (777, 1024), tiling)
    assert (tile.rows.window, tile.columns.window) == ((-4, 516), (-4, 260))
    assert (tile.rows.output, tile.columns.output) == ((0, 777), (0, 1024))
    assert tile.window_pixels == 520 * 264
    assert halo_pixels((512, 256), (777, 1024), tiling) == 520 * 264 - 512 * 256


@given(axes(), axes(), st.integers(1, 4))
def test_the_halves_of_tiles_are_tiles_of_the_same_picture(
    down: tuple[int, int, int, int], across: tuple[int, int, int, int], multiple: int
) -> None:
    size, output = (down[0], across[0]), (down[1], across[1])
    tiling = Tiling(down[3], max(1, size[0] * size[1] // 3), patching=Patching(multiple=multiple))
    for tile in plan_tiles(size, output, tiling):
        parts = halves(tile, size, output, tiling)
        if not parts:
            assert area(tile.rows.core, tile.columns.core) == 1
            continue
        first, second = parts
        assert area(first.rows.core, first.columns.core) in (
            area(second.rows.core, second.columns.core) - shorter(tile),
            area(second.rows.core, second.columns.core),
        )
        for axis in ("rows", "columns"):
            whole, one, other = (getattr(t, axis) for t in (tile, first, second))
            for part in ("core", "output"):
                (start, middle), (after, stop) = getattr(one, part), getattr(other, part)
                cut = (start, middle) != (after, stop)
                assert not cut or middle == after
                assert (start, stop) == getattr(whole, part)
            assert min(one.window[0], other.window[0]) == whole.window[0]
            assert max(one.window[1], other.window[1]) == whole.window[1]


def shorter(tile: Tile) -> int:
    return min(tile.rows.core[1] - tile.rows.core[0], tile.columns.core[1] - tile.columns.core[0])


@pytest.mark.parametrize(("scale", "side"), [(1, 512), (2, 512), (4, 512), (8, 256)])
def test_large_scales_have_smaller_tiles(scale: int, side: int) -> None:
    tiles = plan_tiles((1024, 1024), (1024 * scale, 1024 * scale), Tiling(halo=10))
    assert {area(tile.rows.core, tile.columns.core) for tile in tiles} == {side**2}


def test_a_square_is_cut_into_squares() -> None:
    tiles = plan_tiles((1024, 1024), (2048, 2048), Tiling(20, 512 * 512))
    assert len(tiles) == 4
    assert {tile.window_pixels for tile in tiles} == {532 * 532}


def test_long_strips_are_planned_at_once() -> None:
    assert len(plan_tiles((1, 1_000_000), (1, 2_000_000), Tiling(10, 100_000))) == 10
    assert len(plan_tiles((1_000_000, 1), (8_000_000, 8), Tiling(10, 10**9, 800_000))) == 80


@pytest.mark.parametrize(("size", "output"), [((0, 5), (5, 5)), ((5, 5), (4, 5)), ((5, 5), (5, 4))])
def test_impossible_plans_are_refused(size: Size, output: Size) -> None:
    for plan in (plan_tiles, halo_pixels):
        with pytest.raises(ValueError, match="cannot tile"):
            plan(size, output, Tiling())


@pytest.mark.parametrize(
    "bounds",
    [(-1, 1, 1), (0, 0, 1), (0, 1, 0), (9, 1, 1, -1), (3, 1, 1, 4), (9, 1, 1, 0, -1)],
)
def test_impossible_tilings_are_refused(bounds: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        Tiling(*bounds)


def model(halo, tile_output_pixels=None, rim=0, output_halo=0):
    known = {
        "halo": halo,
        "tile_output_pixels": tile_output_pixels,
        "rim": rim,
        "output_halo": output_halo,
    }
    return read_catalog().models[0].model_copy(update=known)


def test_a_model_that_is_not_exactly_local_is_made_whole_where_it_fits():
    tiling = tiling_of(model(None), 100 * 100)
    assert len(plan_tiles((100, 100), (200, 200), tiling)) == 1
    tiles = plan_tiles((100, 101), (200, 202), tiling)
    assert len(tiles) == 2
    seen = [tile.rows.window for tile in tiles]
    assert seen == [(0, 50 + CONTEXT), (50 - CONTEXT, 100)]


def test_a_model_may_bound_the_output_of_a_tile_but_not_raise_the_workers_bound():
    assert tiling_of(model(3)) == Tiling(3)
    assert tiling_of(model(3, rim=2, output_halo=1)) == Tiling(3, rim=2, output_halo=1)
    assert tiling_of(model(3, 500), 100, 1000) == Tiling(3, 100, 500)
    assert tiling_of(model(3, 5000), 100, 1000) == Tiling(3, 100, 1000)
