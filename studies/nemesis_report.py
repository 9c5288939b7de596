"""The table of runs of `anysr bench nemesis`, from their summaries.

Figures: docs/reliability.md
Run: python -m studies.nemesis_report run-1.json run-2.json --write
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nemesis.checker import Broken
from benchmarks.nemesis.faults import AIMED, Kind
from benchmarks.nemesis.summary import UNDISTURBED
from studies.arguments import parser_of
from studies.bound_mutants import ROOT
from studies.written_tables import write_table

DOCUMENT = ROOT / "docs" / "reliability.md"
MARK = "nemesis"
COMMAND = "python -m studies.nemesis_report ... --write"

Run = dict[str, Any]


def table(runs: Sequence[Run]) -> str:
    """Return the Markdown table of all runs, a column each, and their sums."""
    seeds = [str(run["seed"]) for run in runs]
    lines = [f"| seed | {' | '.join(seeds)} | all |", "|---" * (len(runs) + 2) + "|"]
    lines += [_row("minutes", [run["minutes"] for run in runs])]
    for kind in Kind:
        times = [run["faults"].get(kind, 0) for run in runs]
        if not any(times):
            continue
        lines.append(_row(kind, times))
        if any(run["in_hand"].get(kind) for run in runs):
            in_hand = [run["in_hand"].get(kind, 0) for run in runs]
            label = "came as it says" if kind in AIMED else "with a job in hand"
            lines.append(_row(label, in_hand))
    lines += [_row("accepted jobs", [run["jobs"] for run in runs])]
    for end in sorted({end for run in runs for end in run["ends"]}):
        lines.append(_row(f"ended as `{end}`", [run["ends"].get(end, 0) for run in runs]))
    lines += [
        _row("runs beyond the first of a job", [run["again"] for run in runs]),
        _row("pictures looked at", [run["pictures"] for run in runs]),
        _row("webhooks", [run["webhooks"] for run in runs]),
    ]
    broken = [Counter(_kind_of(text) for text in run["found"]) for run in runs]
    lines += [_row(f"**{kind}**", [counts[kind] for counts in broken]) for kind in Broken]
    return "\n".join(lines)


def punctuality(runs: Sequence[Run]) -> str:
    """Return the Markdown table of how jobs kept their budgets, by the faults of their time."""
    lines = ["| in the time of a job | jobs | in time | latest, s after the deadline |"]
    lines += ["|---|---|---|---|"]
    for kind in (UNDISTURBED, *Kind):
        parts = [run["punctuality"][kind] for run in runs if kind in run["punctuality"]]
        jobs, met = (sum(part[name] for part in parts) for name in ("jobs", "met"))
        if jobs:
            latest = max(0.0, *(part["latest_s"] for part in parts))
            lines.append(f"| {kind} | {jobs:,} | {met / jobs:.1%} | {latest:.1f} |")
    return "\n".join(lines)


def _row(name: str, figures: Iterable[float]) -> str:
    listed = list(figures)
    cells = " | ".join(f"{figure:,g}" if figure < 1e6 else f"{figure:,.0f}" for figure in listed)
    return f"| {name} | {cells} | {sum(listed):,g} |"


def _kind_of(violation: str) -> str:
    """Return what a violation broke, of its line."""
    return violation.split(": ", 2)[1]


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = parser_of("studies.nemesis_report", __doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="files of anysr bench nemesis --json")
    parser.add_argument("--write", action="store_true", help="write the table to the document")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Print the table, or write it."""
    arguments = arguments_of(given)
    runs = [json.loads(path.read_text()) for path in arguments.runs]
    text = f"{table(runs)}\n\n{punctuality(runs)}"
    if arguments.write:
        write_table(DOCUMENT, MARK, COMMAND, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
