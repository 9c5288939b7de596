"""The report of a soak has a place in its document."""

from __future__ import annotations

from studies.soak_report import COMMAND, DOCUMENT, MARK
from studies.written_tables import with_table


def test_the_document_has_a_place_for_the_report() -> None:
    assert "| a table |" in with_table(DOCUMENT.read_text(), MARK, COMMAND, "| a table |")
