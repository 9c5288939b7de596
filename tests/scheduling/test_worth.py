"""What widths are worth at a price, against definitions written out plainly."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.options import Option
from scheduling.rungs import Rung
from scheduling.worth import Worth


def options_of(*costs_and_values: tuple[float, float | None]) -> tuple[Option, ...]:
    rungs = (Rung("m", (n + 1) / len(costs_and_values)) for n in range(len(costs_and_values)))
    pairs = zip(rungs, costs_and_values, strict=True)
    return tuple(Option(rung, ms, 1.2 * ms, db) for rung, (ms, db) in pairs)


costs = st.lists(st.floats(1, 1000), min_size=1, max_size=6, unique=True).map(sorted)
qualities = st.lists(st.floats(20, 40), min_size=6, max_size=6, unique=True).map(sorted)
pictures = st.builds(
    lambda ms, db: options_of(*zip(ms, db, strict=False)), costs, qualities
)  # fmt: skip


def test_a_width_gains_what_it_adds_to_the_narrower_one_for_each_ms():
    worth = Worth.of(options_of((10, 30.0), (20, 31.0), (40, 31.5)))
    assert list(worth.gains) == pytest.approx([math.inf, 0.1, 0.025])


def test_a_width_that_is_worse_for_its_cost_than_a_wider_one_gains_less():
    gains = Worth.of(options_of((10, 30.0), (20, 30.1), (40, 31.5))).gains
    assert list(gains) == pytest.approx([math.inf, 0.01, 0.05])


def test_two_widths_of_one_cost_gain_over_those_that_cost_less():
    gains = Worth.of(options_of((10, 30.0), (20, 30.5), (20, 31.0))).gains
    assert list(gains) == pytest.approx([math.inf, 0.05, 0.1])


def test_without_a_measured_quality_twice_the_time_is_worth_as_much_at_every_size():
    worth = Worth.of(options_of((10, 30.0), (20, None), (40, 31.5)))
    assert list(worth.gains[1:]) == pytest.approx([math.log(2) / 10, math.log(2) / 20])


@given(pictures, st.lists(st.floats(1e-6, 10), min_size=1, max_size=9).map(sorted))
def test_a_picture_takes_the_widest_option_that_is_worth_a_price(options, prices):
    worth = Worth.of(options)
    for price, cost_ms in zip(prices, worth.costs_at(prices), strict=True):
        worthy = [o for o in options if worth.gain_of(o) >= price]
        assert cost_ms == worthy[-1].expected_ms
        assert worth.stretch_at(price) == cost_ms / options[0].expected_ms


@given(pictures, st.floats(1e-6, 10), st.integers(2, 10))
def test_a_larger_picture_takes_what_a_small_one_takes_at_as_many_times_the_price(
    options, price, times
):
    large = tuple(replace(o, expected_ms=times * o.expected_ms) for o in options)
    price *= 1 + 1e-9  # no gain is near by rounding alone
    assert Worth.of(large).stretch_at(price) <= Worth.of(options).stretch_at(price) + 1e-9
    assert Worth.of(large).stretch_at(price / times * (1 - 1e-6)) >= (
        Worth.of(options).stretch_at(price) - 1e-9
    )
