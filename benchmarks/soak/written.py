"""Reports of a run in its folder, as it goes on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.soak.folder import REPORT
from benchmarks.soak.table import report
from benchmarks.soak.verdict import verdict_of
from models.whole_file import written


def write_report(folder: Path) -> None:
    """Write what the run of a folder has found so far. Raises FileNotFoundError."""
    with written(folder / REPORT) as path:
        path.write_text(report(verdict_of(folder)) + "\n")
