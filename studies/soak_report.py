"""The tables of a run of `anysr bench soak`, from its folder; also of one that still runs.

Figures: docs/reliability.md
Run: python -m studies.soak_report FOLDER --write
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.soak.table import report
from benchmarks.soak.verdict import verdict_of
from studies.arguments import parser_of
from studies.bound_mutants import ROOT
from studies.written_tables import write_table

DOCUMENT = ROOT / "docs" / "reliability.md"
MARK = "soak"
COMMAND = "python -m studies.soak_report ... --write"


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = parser_of("studies.soak_report", __doc__)
    parser.add_argument("folder", type=Path, help="folder of anysr bench soak")
    parser.add_argument("--write", action="store_true", help="write the tables to the document")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Print the tables, or write them."""
    arguments = arguments_of(given)
    text = report(verdict_of(arguments.folder))
    if arguments.write:
        write_table(DOCUMENT, MARK, COMMAND, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
