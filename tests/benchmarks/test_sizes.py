"""Pictures of different sizes are sent, and what they take is compared per pixel."""

from __future__ import annotations

import itertools

import pytest

from benchmarks import sizes
from benchmarks.sizes import WARMING, draw_sizes, measure, times_of


def test_sizes_are_different_and_within_the_bounds() -> None:
    drawn = draw_sizes(121, 8, 18)
    assert len(set(drawn)) == 121
    assert {side for size in drawn for side in size} == set(range(8, 19))


@pytest.mark.parametrize("count", [WARMING + 1, 122])
def test_too_few_or_too_many_pictures_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="between 52 and 121"):
        draw_sizes(count, 8, 18)


def test_a_slow_picture_is_one_that_is_slow_for_its_pixels_after_the_warming() -> None:
    drawn = [(10, 10), (20, 20)] * (WARMING // 2) + [(10, 10), (20, 20), (30, 30), (10, 10)]
    taken = [width * height / 1e3 for width, height in drawn]
    taken[0] *= 9
    taken[-1] *= 2
    times = times_of(drawn, taken)
    assert times.median_us == pytest.approx(1.0)
    assert times.slowest == pytest.approx(2.0)
    assert times.slow == ((10, 10),)
    assert times.fixed_ms == pytest.approx(0.0, abs=1e-9)


def test_fixed_costs_are_apart_from_those_of_a_pixel() -> None:
    drawn = draw_sizes(WARMING + 20, 20, 40)
    taken = [2.0 + width * height / 500 for width, height in drawn]
    assert times_of(drawn, taken).fixed_ms == pytest.approx(2.0)


@pytest.mark.usefixtures("cached_costs")
def test_a_service_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_RUNTIME", "onnx")
    monkeypatch.setattr(sizes, "WARMING", 3)
    reported: list[int] = []
    figures = measure(6, 24, 32, reported.append)
    assert reported == [1, 2, 3, 4, 5, 6]
    assert min(figures.warm_mb, figures.halfway_mb, figures.end_mb) > 50
    assert 0 < figures.network.median_us < figures.whole.median_us
    for times in (figures.whole, figures.network):
        assert set(times.again) <= set(times.slow)


def test_a_picture_that_is_slow_each_time_differs_from_one_that_was_disturbed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = draw_sizes(WARMING + 30, 20, 40)
    slow, disturbed = drawn[-1], drawn[-2]
    sent: list[tuple[int, int]] = []

    def send(client: object, size: tuple[int, int]) -> tuple[float, float]:
        del client
        sent.append(size)
        ms = size[0] * size[1] / 1e3
        return ms * (3 if size == slow else 1), ms

    monkeypatch.setattr(sizes, "_send", send)
    taken = [
        ms * (3 if size == disturbed else 1)
        for size, (ms, _) in zip(drawn, (send(None, size) for size in drawn), strict=True)
    ]
    taken[-1] *= 3
    times = times_of(drawn, taken)
    assert set(times.slow) == {slow, disturbed}
    sent.clear()
    repeated = sizes._repeated(None, drawn, set(times.slow))  # type: ignore[arg-type]
    assert sizes._slow_again(times, {s: ms for s, (ms, _) in repeated.items()}) == (slow,)
    places = [place for place, size in enumerate(sent) if size == slow]
    assert min(b - a for a, b in itertools.pairwise(places)) >= sizes.BETWEEN
