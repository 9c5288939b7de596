"""`anysr bench heads`: both forms run, with equal outputs."""

from benchmarks.heads import FAST, time_heads


def test_every_head_with_two_forms_is_timed_and_they_agree():
    rows = list(time_heads([1.5], side=6, repeats=1))
    assert [row.head for row in rows] == list(FAST)
    assert all(row.difference < 1e-5 for row in rows)
    assert all(row.speed_up > 0 for row in rows)
