"""Whether a minute of faults notices a queue that breaks one of its promises, every time.

Each mutant of `queue_mutants.toml` changes the source in a copy of the checkout, which
`anysr bench nemesis` is then run from, with aimed faults alone, twice as many as usual, by one seed
after the other. Each run ends when it sees a promise broken, and must do so within its minute. The
code without a change must keep all. The status is 1 otherwise. Runs that a file of results has are
not made again.

Figures: docs/reliability.md
Run: python -m studies.queue_mutants --only lease --results results.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.nemesis.faults import AIMED
from studies.arguments import parser_of
from studies.bound_mutants import ROOT, Change, changed, copy_checkout
from studies.written_tables import write_table

TABLE = Path(__file__).with_suffix(".toml")
DOCUMENT = ROOT / "docs" / "reliability.md"
MARK = "queue mutants"
SEEDS = 10
OPTIONS = ("--minutes=1", "--until-broken", "--times=2", *(f"--only={kind}" for kind in AIMED))
LONGEST_S = 240.0
"""Of one run, with its start and the checks at its end."""


@dataclass(frozen=True)
class Mutant:
    """A queue that breaks a promise; without changes, the one that should keep them all."""

    name: str
    changes: tuple[Change, ...]


UNCHANGED = Mutant("none", ())


@dataclass(frozen=True)
class Result:
    """One run of a mutant."""

    mutant: str
    seed: int
    noticed_s: float | None
    """Seconds from the first request until a broken promise was seen; None within the minute."""
    first: str
    """The violation; empty without one."""


def mutants(table: Path = TABLE) -> list[Mutant]:
    """Return all mutants, in the order of the table."""
    return [_mutant(entry) for entry in tomllib.loads(table.read_text())["mutant"]]


def _mutant(entry: dict[str, Any]) -> Mutant:
    places = [{name: entry[name] for name in ("file", "old", "new")}, *entry.get("also", [])]
    return Mutant(entry["name"], tuple(Change(**place) for place in places))


def results_of(mutant: Mutant, seeds: Iterable[int]) -> Iterator[Result]:
    """Yield the result of a run by each seed, from a copy of the checkout with the mutant."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder)
        copy_checkout(checkout)
        for change in mutant.changes:
            path = checkout / change.file
            path.write_text(changed(path.read_text(), change))
        for seed in seeds:
            summary = summary_of(checkout, seed)
            found: list[str] = summary["found"]
            yield Result(mutant.name, seed, summary["noticed_s"], found[0] if found else "")


def summary_of(checkout: Path, seed: int) -> dict[str, Any]:
    """Return the summary of a run from a checkout. Raises RuntimeError if it did not end."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        command = [sys.executable, "-P", "-m", "cli.main", "bench", "nemesis", *OPTIONS]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [*command, f"--seed={seed}", f"--json={summary}", f"--keep={folder}"],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        if not summary.exists():
            raise RuntimeError(f"the run did not end: {run.stderr[-1000:]}")
        read: dict[str, Any] = json.loads(summary.read_text())
        return read


def table(results: Sequence[Result], of: Iterable[Mutant]) -> str:
    """Return the Markdown table of what was noticed, a row for each mutant with results."""
    heads = ("change", "noticed", "fastest, s", "median", "slowest", "first seen as")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for mutant in of:
        runs = [result for result in results if result.mutant == mutant.name]
        if runs:
            lines.append(_row(mutant.name, runs))
    return "\n".join(lines)


def _row(name: str, runs: Sequence[Result]) -> str:
    seconds = sorted(run.noticed_s for run in runs if run.noticed_s is not None)
    times = ("", "", "")
    if seconds:
        figures = seconds[0], statistics.median(seconds), seconds[-1]
        times = tuple(f"{figure:.0f}" for figure in figures)  # type: ignore[assignment]
    kinds = Counter(run.first.split(": ", 2)[1] for run in runs if run.first)
    seen = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())
    noticed = f"{len(seconds)} of {len(runs)}"
    return f"| {' | '.join((name, noticed, *times, seen))} |"


def failures(results: Iterable[Result]) -> list[str]:
    """Return what should not be: a mutant that was not noticed in time, a queue that is none."""
    return [
        f"{result.mutant}, seed {result.seed}: {result.first or 'not noticed'}"
        for result in results
        if (result.noticed_s is None) != (result.mutant == UNCHANGED.name)
        or (result.mutant == UNCHANGED.name and result.first)
    ]


def read(file: Path) -> list[Result]:
    """Return the results that a file has; none where there is no file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [Result(**json.loads(line)) for line in lines]


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = parser_of("studies.queue_mutants", __doc__)
    parser.add_argument("--only", nargs="*", default=[""], help="mutants whose name has a text")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each, from 1 on")
    parser.add_argument("--results", type=Path, required=True, help="file of all results")
    parser.add_argument("--write", action="store_true", help="write the table to the document")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Run the study."""
    arguments = arguments_of(given)
    every = [UNCHANGED, *mutants()]
    for mutant in every:
        if any(text in mutant.name for text in arguments.only):
            done = {
                result.seed for result in read(arguments.results) if result.mutant == mutant.name
            }
            left = [seed for seed in range(1, arguments.seeds + 1) if seed not in done]
            for result in results_of(mutant, left) if left else ():
                print(result, flush=True)
                with arguments.results.open("a") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
    results = read(arguments.results)
    print(table(results, every))
    if arguments.write:
        command = "python -m studies.queue_mutants --results ... --write"
        write_table(DOCUMENT, MARK, command, table(results, every))
    if failed := failures(results):
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
