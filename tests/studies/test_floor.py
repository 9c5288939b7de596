"""The study of the floor runs both sides. No time is asserted."""

from studies.floor import time_floor


def test_both_sides_are_timed_by_the_same_stages() -> None:
    timing = time_floor(40, 30, rounds=1)
    assert set(timing.resampled_ms) == set(timing.pillow_ms) == {"decode", "resample", "encode"}
    assert timing.ratio > 0
    assert min(timing.floor_mb, timing.pillow_mb) >= 0
