"""The mutants of the queue: each can be applied, and has a row in the document."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from studies.bound_mutants import ROOT, changed
from studies.nemesis_report import MARK as RUNS
from studies.nemesis_report import punctuality
from studies.nemesis_report import table as table_of_runs
from studies.queue_mutants import (
    DOCUMENT,
    MARK,
    UNCHANGED,
    Mutant,
    Result,
    failures,
    main,
    mutants,
    table,
)
from studies.written_tables import with_table

MUTANTS = mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_applied(mutant: Mutant) -> None:
    texts = {change.file: (ROOT / change.file).read_text() for change in mutant.changes}
    before = dict(texts)
    for change in mutant.changes:
        texts[change.file] = changed(texts[change.file], change)
    assert all(texts[file] != before[file] for file in texts)


def test_every_mutant_was_noticed_by_the_document() -> None:
    text = DOCUMENT.read_text().partition(f"<!-- {MARK}:")[2].partition(f"<!-- /{MARK} -->")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines()[3:]]
    assert [row for row in rows if row != UNCHANGED.name] == [mutant.name for mutant in MUTANTS]
    for row in text.splitlines()[3:]:
        noticed, runs = row.split(" | ")[1].split(" of ")
        assert noticed == ("0" if row.startswith(f"| {UNCHANGED.name} |") else runs)
        assert int(runs) > 0


RESULTS = [
    Result("none", 1, None, ""),
    Result("one", 1, 12.4, "12.30 s: lost: job a has not ended"),
    Result("one", 2, 20.6, "20.10 s: doubled: job b"),
    Result("one", 3, 30.0, "29.90 s: lost: job c"),
]
ONE = Mutant("one", ())


def test_a_table_says_how_often_and_when_a_mutant_was_noticed() -> None:
    assert table(RESULTS, [UNCHANGED, ONE, Mutant("two", ())]).splitlines()[2:] == [
        "| none | 0 of 1 |  |  |  |  |",
        "| one | 3 of 3 | 12 | 21 | 30 | lost (2), doubled (1) |",
    ]
    assert failures(RESULTS) == []


def test_a_mutant_that_is_seen_too_late_or_not_is_a_failure() -> None:
    late = Result("one", 4, None, "74.00 s: lost: job d")
    assert failures([late]) == ["one, seed 4: 74.00 s: lost: job d"]
    assert failures([Result("one", 4, None, "")]) == ["one, seed 4: not noticed"]
    for broken in (Result("none", 2, 9.0, "9 s: late: e"), Result("none", 2, None, "9 s: late: e")):
        assert failures([broken]) == ["none, seed 2: 9 s: late: e"]


def test_runs_that_a_file_has_are_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(asdict(result)) + "\n" for result in RESULTS))
    main(["--only", "none", "--seeds", "1", "--results", str(file)])
    assert "| none | 0 of 1 |" in capsys.readouterr().out
    assert len(file.read_text().splitlines()) == len(RESULTS)


def test_a_table_is_written_between_its_comments_or_not_at_all() -> None:
    text = "a\n<!-- t: written by c -->\nold\n<!-- /t -->\nb"
    assert with_table(text, "t", "c", "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="no '<!-- u"):
        with_table(text, "u", "c", "new")


def test_the_table_of_runs_has_their_sums_and_what_they_broke() -> None:
    run = {
        "seed": 1,
        "minutes": 10,
        "faults": {"worker killed": 80},
        "in_hand": {"worker killed": 50},
        "jobs": 1500,
        "ends": {"succeeded": 1400, "worker_lost": 100},
        "again": 60,
        "pictures": 2000,
        "webhooks": 300,
        "found": ["12.50 s: lost: job a: has not ended"],
    }
    lines = table_of_runs([run, {**run, "seed": 2, "found": []}]).splitlines()
    assert lines[0] == "| seed | 1 | 2 | all |"
    assert "| worker killed | 80 | 80 | 160 |" in lines
    assert "| with a job in hand | 50 | 50 | 100 |" in lines
    assert "| accepted jobs | 1,500 | 1,500 | 3,000 |" in lines
    assert "| ended as `worker_lost` | 100 | 100 | 200 |" in lines
    assert "| **lost** | 1 | 0 | 1 |" in lines
    assert "| **foreign** | 0 | 0 | 0 |" in lines
    assert f"<!-- {RUNS}: written by" in DOCUMENT.read_text()


def test_the_table_of_budgets_adds_the_runs() -> None:
    runs = [
        {"punctuality": {"no fault": {"jobs": 90, "met": 90, "latest_s": -1.0}}},
        {"punctuality": {"no fault": {"jobs": 10, "met": 9, "latest_s": 2.5}}},
    ]
    assert punctuality(runs).splitlines()[2:] == ["| no fault | 100 | 99.0% | 2.5 |"]
