"""Tables of a document that a study writes, each between two comments."""

from __future__ import annotations

from pathlib import Path


def write_table(document: Path, name: str, command: str, table: str) -> None:
    """Replace the table `name` of a document. Raises ValueError if it has none of that name."""
    document.write_text(with_table(document.read_text(), name, command, table))


def with_table(text: str, name: str, command: str, table: str) -> str:
    """Return a document's text with another table. Raises ValueError if it has none of the name."""
    start, end = f"<!-- {name}: written by {command} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the document has no {start!r} with {end!r} after it")
    return f"{before}{start}\n{table}\n{end}{after}"
