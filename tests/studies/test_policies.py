"""The comparison of policies: one cell for each policy, with figures of its own."""

from __future__ import annotations

from studies import policies


def test_a_row_has_each_policy_and_the_bound_is_no_worse_than_ours() -> None:
    row = policies.row("poisson", 1.0, requests=200, bounded=60, seed=1)
    assert len(row) == len(policies.HEAD)
    assert row[0] == "poisson, 1"
    ours, best = map(float, row[-1].split(", "))
    assert best >= ours - 1e-3
    widest, fixed = row[1], row[4]
    assert widest != fixed
    assert all(cell.count("/") == 2 for cell in row[1:-1])
