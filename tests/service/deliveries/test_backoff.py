"""Pauses between attempts: bounds that double, full jitter, and the receiver's Retry-After."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.backoff import LONGEST_RETRY_AFTER_S, LONGEST_S, pause_s, retry_after_s

NOW = 1_700_000_000.0


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_pause_is_drawn_from_zero_to_its_bound(failures: int, drawn: float) -> None:
    bound = pause_s(failures, lambda: 1.0)
    assert bound == min(5.0 * 2 ** min(failures - 1, 16), LONGEST_S)
    assert pause_s(failures, lambda: drawn) == drawn * bound


def test_the_first_bounds_double() -> None:
    assert [pause_s(n, lambda: 1.0) for n in (1, 2, 3, 4)] == [5, 10, 20, 40]


def test_retry_after_is_the_least_pause() -> None:
    assert pause_s(1, lambda: 0.5, 60.0) == 60
    assert pause_s(5, lambda: 1.0, 60.0) == 80
    assert pause_s(1, lambda: 0.0, 1e9) == LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("9" * 5000, LONGEST_RETRY_AFTER_S),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0.0),
        ("Tue, 14 Nov 2013 22:13:20 GMT", 0.0),
        ("Tue, 99 Nov 2023 99:99:99 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds
