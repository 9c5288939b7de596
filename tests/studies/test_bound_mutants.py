"""The mutants of the bounds: each can be applied, has a test, and has a row in the document."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from studies.bound_mutants import (
    FAILED,
    ROOT,
    TIMED_OUT,
    Change,
    Mutant,
    changed,
    is_noticed,
    mutants,
    run_tests,
)

DOCUMENT = ROOT / "docs" / "reliability.md"
START = "<!-- bounds: written by python -m tests.studies.test_bound_mutants --write -->"
END = "<!-- /bounds -->"
MUTANTS = mutants()
CODE = "def least(a, b):\n    return min(a, b)\n"
TESTS = """
import time
from code_of import least
def test_noticing():
    assert least(1, 2) == least(2, 1) == 1
def test_blind():
    assert least(1, 1) == 1
def test_endless():
    time.sleep(3600 * (least(1, 2) == 2))
"""


def table() -> str:
    """Return the Markdown table of all bounds."""
    rows = ["| bound | value | test that fails without it |", "|---|---|---|"]
    for mutant in MUTANTS:
        file, _, name = mutant.test.partition("::")
        rows.append(f"| {mutant.bound} | {mutant.value} | `{Path(file).name}::{name}` |")
    return "\n".join(rows)


def with_table(text: str) -> str:
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bound)
def test_a_mutant_can_be_applied_and_has_a_test(mutant: Mutant) -> None:
    texts = {change.file: (ROOT / change.file).read_text() for change in mutant.changes}
    for change in mutant.changes:
        texts[change.file] = changed(texts[change.file], change)
    for file, text in texts.items():
        assert text != (ROOT / file).read_text()
        if file.endswith(".py"):
            compile(text, file, "exec")
    file, _, name = mutant.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_a_change_whose_place_is_gone_or_doubtful_is_an_error() -> None:
    for text in ("", "old old"):
        with pytest.raises(ValueError, match=r"a\.py has this \d times: 'old'"):
            changed(text, Change("a.py", "old", "new"))


def test_the_documented_table_is_that_of_the_mutants() -> None:
    text = DOCUMENT.read_text()
    assert with_table(text) == text, "run: python -m tests.studies.test_bound_mutants --write"


@pytest.mark.parametrize(
    ("test", "noticed"), [("noticing", True), ("blind", False), ("endless", True)]
)
def test_a_mutant_is_noticed_by_a_test_that_fails_or_does_not_end(
    tmp_path: Path, test: str, noticed: bool
) -> None:
    (tmp_path / "code_of.py").write_text(CODE)
    (tmp_path / "test_code.py").write_text(TESTS)
    wanted = f"test_code.py::test_{test}"
    mutant = Mutant("", "", wanted, (Change("code_of.py", "min", "max"),))
    assert is_noticed(mutant, tmp_path, timeout_s=10) is noticed
    assert (tmp_path / "code_of.py").read_text() == CODE


def test_a_test_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "test_code.py").write_text("")
    assert run_tests(["test_code.py::test_none"], tmp_path, 60) not in (0, FAILED, TIMED_OUT)


if __name__ == "__main__" and "--write" in sys.argv:
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
