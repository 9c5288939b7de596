"""Whether a minute of faults notices a queue that breaks one of its promises.

Each mutant of `queue_mutants.toml` changes the source in a copy of the checkout, which
`anysr bench nemesis` is then run from, with many of the faults that part a worker from its job. The
status is 1 if the code without a change breaks a promise, or a mutant is not noticed.

Figures: docs/reliability.md
Run: python -m studies.queue_mutants --only lease
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies.arguments import parser_of
from studies.bound_mutants import ROOT, Change, changed, copy_checkout
from studies.written_tables import write_table

TABLE = Path(__file__).with_suffix(".toml")
DOCUMENT = ROOT / "docs" / "reliability.md"
MARK = "queue mutants"
ATTEMPTS = 3
"""Seeds that are tried on a mutant: which job a fault meets is not in the seed."""
FAULTS = ("worker stopped past its lease", "partition from Redis", "requests to Redis held up")
"""Those after which a worker goes on with a job that is another's by then."""
OPTIONS = ("--minutes=1", "--times=4", *(f"--only={fault}" for fault in FAULTS))
LONGEST_S = 400.0
"""Of one run, with its start and the checks at its end."""


@dataclass(frozen=True)
class Mutant:
    """A queue that breaks a promise."""

    name: str
    longer: float
    """How many times as long as usual the faults of its runs last."""
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Notice:
    """How a mutant was noticed."""

    seed: int
    violations: int
    first: str
    """The first violation, with its seconds since the start."""


def mutants(table: Path = TABLE) -> list[Mutant]:
    """Return all mutants, in the order of the table."""
    return [_mutant(entry) for entry in tomllib.loads(table.read_text())["mutant"]]


def _mutant(entry: dict[str, Any]) -> Mutant:
    places = [{name: entry[name] for name in ("file", "old", "new")}, *entry.get("also", [])]
    changes = tuple(Change(**place) for place in places)
    return Mutant(entry["name"], entry["longer"], changes)


def found_in(checkout: Path, seed: int, longer: float) -> list[str]:
    """Return the violations of a run from a checkout. Raises RuntimeError if it did not end."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        command = [sys.executable, "-P", "-m", "cli.main", "bench", "nemesis"]
        command += [f"--seed={seed}", f"--longer={longer:g}", *OPTIONS]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [*command, f"--json={summary}"],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        if not summary.exists():
            raise RuntimeError(f"the run did not end: {run.stderr[-1000:]}")
        found: list[str] = json.loads(summary.read_text())["found"]
        return found


def noticed(mutant: Mutant, seeds: Sequence[int]) -> Notice | None:
    """Return how the first of several runs notices a mutant; None if none does."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder)
        copy_checkout(checkout)
        for change in mutant.changes:
            path = checkout / change.file
            path.write_text(changed(path.read_text(), change))
        for seed in seeds:
            found = found_in(checkout, seed, mutant.longer)
            print(f"{mutant.name}, seed {seed}: {len(found)} violations", flush=True)
            if found:
                return Notice(seed, len(found), found[0])
    return None


def table(rows: Sequence[tuple[str, Notice | None]]) -> str:
    """Return the Markdown table of what was noticed."""
    lines = ["| change | seed | violations in a minute | the first one |", "|---|---|---|---|"]
    for name, notice in rows:
        if notice is None:
            lines.append(f"| {name} | | 0 | **not noticed** |")
        else:
            at, kind, _ = notice.first.split(": ", 2)
            lines.append(f"| {name} | {notice.seed} | {notice.violations} | {kind}, after {at} |")
    return "\n".join(lines)


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = parser_of("studies.queue_mutants", __doc__)
    parser.add_argument("--only", nargs="*", default=[""], help="mutants whose name has a text")
    parser.add_argument("--seed", type=int, default=1, help="first seed")
    parser.add_argument("--write", action="store_true", help="write the table to the document")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Run the study."""
    arguments = arguments_of(given)
    seeds = range(arguments.seed, arguments.seed + ATTEMPTS)
    chosen = [m for m in mutants() if any(text in m.name for text in arguments.only)]
    for longer in sorted({mutant.longer for mutant in chosen}):
        broken = found_in(ROOT, arguments.seed, longer)
        if broken:
            raise SystemExit("the code as it is breaks a promise:\n" + "\n".join(broken))
    rows = [(mutant.name, noticed(mutant, seeds)) for mutant in chosen]
    print(table(rows))
    if arguments.write:
        write_table(DOCUMENT, MARK, "python -m studies.queue_mutants --write", table(rows))
    if any(notice is None for _, notice in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
