"""Fitted cost lines meet their samples, without negative parts, and rise with the width."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.cost_line import Line
from scheduling.line_fit import fit, fit_rising
from scheduling.work import Work

SIZES = [(1_000, 4_000), (10_000, 40_000), (10_000, 90_000), (60_000, 70_000)]
parts = st.floats(0, 1000)


def work(source: int = 10_000, output: int = 40_000, count: int = 0) -> Work:
    return Work(source, output, "png", source_bytes=count)


@given(st.floats(0.1, 50), parts, parts)
def test_fit_finds_an_exact_line(fixed, per_source, per_output):
    line = Line(fixed, per_source, per_output)
    samples = [(work(*size), line.at(work(*size))) for size in SIZES]
    fitted = fit(samples)
    for size in [*SIZES, (40_000, 160_000)]:
        assert fitted.at(work(*size)) == pytest.approx(line.at(work(*size)), rel=1e-3)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8))
def test_fit_never_predicts_a_negative_time(times):
    samples = [(work(*SIZES[i % len(SIZES)]), ms) for i, ms in enumerate(times)]
    line = fit(samples)
    assert min(line.parts) >= 0
    assert line.at(work()) > 0


FILES = [(4_000, 2_000), (4_000, 20_000), (150_000, 60_000), (150_000, 600_000)]
"""Pixels and bytes: few and many bytes for the pixels, small and large."""


@given(st.floats(0.1, 50), parts, parts)
def test_bytes_and_pixels_of_a_file_are_told_apart(fixed, per_source, per_megabyte):
    line = Line(fixed, per_source, 0.0, per_megabyte)
    files = [work(pixels, 0, count) for pixels, count in FILES]
    fitted = fit([(file, line.at(file)) for file in files])
    for file in (*files, work(1_000_000, 0, 3_000_000)):
        assert fitted.at(file) == pytest.approx(line.at(file), rel=1e-3)


@given(st.lists(st.floats(0.01, 1e4), min_size=4, max_size=4), st.integers(0, 10**8))
def test_more_bytes_never_cost_less(times, most):
    samples = [
        (work(pixels, 0, count), ms) for (pixels, count), ms in zip(FILES, times, strict=True)
    ]
    line = fit(samples)
    assert line.at(work(4_000, 0, most)) <= line.at(work(4_000, 0, most + 1))


def test_fit_needs_a_sample():
    with pytest.raises(ValueError, match="no samples"):
        fit([])


times = st.lists(st.floats(0.01, 1e4), min_size=3, max_size=3)


@given(st.lists(times, min_size=1, max_size=5), st.integers(1, 10**7), st.integers(1, 10**8))
def test_no_width_is_ever_cheaper_than_a_narrower_one(measured, source, output):
    """Holds for any measurements and any picture size."""
    lines = fit_rising([[(work(*SIZES[i]), ms) for i, ms in enumerate(w)] for w in measured])
    costs = [line.at(work(source, output)) for line in lines]
    assert costs == sorted(costs)
    assert costs[0] >= 0


def test_widths_that_were_measured_in_their_order_are_fitted_exactly():
    lines = [Line(0.5, 100, 10), Line(0.5, 200, 10), Line(0.7, 400, 10)]
    fitted = fit_rising([[(work(*s), line.at(work(*s))) for s in SIZES] for line in lines])
    for line, expected in zip(fitted, lines, strict=True):
        assert line.at(work(50_000)) == pytest.approx(expected.at(work(50_000)), rel=1e-6)


def test_widths_that_were_measured_in_the_wrong_order_share_their_error():
    narrow, wide = ([(work(), ms)] * 2 for ms in (30.0, 20.0))
    low, high = (line.at(work()) for line in fit_rising([narrow, wide]))
    assert low == pytest.approx(high)
    assert 20 < low < 30


def test_every_width_needs_a_sample():
    with pytest.raises(ValueError, match="no samples"):
        fit_rising([[(work(), 1.0)], []])
