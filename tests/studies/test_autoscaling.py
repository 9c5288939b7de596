"""The studies of scaling write whole tables. No figure is asserted but those of definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies import autoscaling, sharding
from studies.document_tables import replace_table, table
from studies.simulated_tables import mixed_tables


def test_every_rule_is_compared_with_fixed_workers() -> None:
    (first, _) = autoscaling.cases(hours=0.02, seed=1, most=2)
    rows = autoscaling.rows(first)
    assert len(rows) == len(autoscaling.RULES) * len(autoscaling.START_S)
    assert {len(row) for row in rows} == {len(autoscaling.HEAD)}
    assert autoscaling.CHOSEN in autoscaling.RULES


def test_shards_are_compared_on_the_same_requests() -> None:
    workload = sharding.workload_of(4, 200, seed=1)
    rows = list(sharding.rows(4, [1, 2], workload, mixed_tables()))
    assert [row[:2] for row in rows] == [("4", "1"), ("4", "2")]
    assert {len(row) for row in rows} == {len(sharding.HEAD)}


def test_a_table_replaces_the_one_between_its_comments(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- one: by a -->\nold\n<!-- /one -->\nafter\n")
    replace_table(document, "one", table(("a", "b"), [("1", "2")]))
    assert document.read_text() == (
        "before\n<!-- one: by a -->\n| a | b |\n|---|---|\n| 1 | 2 |\n<!-- /one -->\nafter\n"
    )
    with pytest.raises(ValueError, match="no place"):
        replace_table(document, "two", "")
