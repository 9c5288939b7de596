"""Tables that studies write into documents, each between two comments with its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---")


def replace_table(document: Path, name: str, text: str) -> None:
    """Replace what is between a document's comments `<!-- name: … -->` and `<!-- /name -->`. Raises
    ValueError if it has no such comments."""
    between = re.compile(
        rf"(<!-- {re.escape(name)}: .*?-->\n).*?(<!-- /{re.escape(name)} -->)", re.S
    )
    new, found = between.subn(lambda match: f"{match[1]}{text}\n{match[2]}", document.read_text())
    if found != 1:
        raise ValueError(f"{document} has no place for the table {name!r}")
    document.write_text(new)
