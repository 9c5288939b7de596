"""The glossary's terms are those of the code, in alphabetical order."""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| ([a-z ]+) \| `(\w+)` \| (.+) \| `([\w/.]+\.py)` \|$")


class Row(NamedTuple):
    """One term of the glossary."""

    term: str
    name: str
    meaning: str
    file: str


def rows() -> list[Row]:
    """Return the rows of the table, without its head."""
    lines = (ROOT / "docs" / "glossary.md").read_text().splitlines()
    body = [line for line in lines if line.startswith("|")][2:]
    matches = [ROW.match(line) for line in body]
    assert None not in matches, body[matches.index(None)]
    return [Row(*match.groups()) for match in matches if match is not None]


def names_in(file: str) -> set[str]:
    """Return all identifiers of a Python file; comments and texts have none."""
    tokens = tokenize.generate_tokens(io.StringIO((ROOT / file).read_text()).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def test_terms_are_in_alphabetical_order_and_unique() -> None:
    terms = [row.term for row in rows()]
    assert len(terms) >= 25
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.term)
def test_a_term_is_used_in_the_code_of_its_file(row: Row) -> None:
    assert row.name in names_in(row.file)
    assert row.meaning.endswith(".")
