"""Takes each bound on hostile input out of the code, and checks that a test notices.

This is mutation testing: `bound_mutants.toml` has a mutant for each bound, a change of the source,
and the test that must fail with it. The tests run in a copy of the checkout, first without a
change, then with one mutant after the other. A test that does not end in time has noticed as well.
The status is 1 if a test fails without a change, or a mutant survives.

Figures: docs/reliability.md
Run: python -m studies.bound_mutants --only JPEG
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies.arguments import parser_of

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".toml")
FAILED, TIMED_OUT = 1, 124
"""Exit statuses of pytest with failed tests, and of one that did not end."""


@dataclass(frozen=True)
class Change:
    """A part of a source file, which it has once, and what replaces it."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """The code without one bound."""

    bound: str
    value: str
    """The bound's value, or the setting that has it."""
    test: str
    """The test that fails, as pytest names it."""
    changes: tuple[Change, ...]


def mutants(table: Path = TABLE) -> list[Mutant]:
    """Return all mutants, in the order of the table."""
    return [_mutant(entry) for entry in tomllib.loads(table.read_text())["mutant"]]


def _mutant(entry: dict[str, Any]) -> Mutant:
    places = [{name: entry[name] for name in ("file", "old", "new")}, *entry.get("also", [])]
    changes = tuple(Change(**place) for place in places)
    return Mutant(entry["bound"], entry["value"], entry["test"], changes)


def changed(text: str, change: Change) -> str:
    """Return a file's text with a change. Raises ValueError if it has the old part not once."""
    if text.count(change.old) != 1:
        raise ValueError(f"{change.file} has this {text.count(change.old)} times: {change.old!r}")
    return text.replace(change.old, change.new)


def copy_checkout(to: Path) -> None:
    """Copy the files of this checkout that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def run_tests(tests: Iterable[str], checkout: Path, timeout_s: float) -> int:
    """Run tests of a checkout; return pytest's exit status, TIMED_OUT if it does not end."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    running = subprocess.Popen(
        command,
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return running.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    finally:
        _end(running)


def _end(running: subprocess.Popen[bytes]) -> None:
    """End a process and those that it has started."""
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def is_noticed(mutant: Mutant, checkout: Path, timeout_s: float) -> bool:
    """Return whether the mutant's test fails in a checkout, which is as before afterwards."""
    kept = {change.file: (checkout / change.file).read_text() for change in mutant.changes}
    try:
        for change in mutant.changes:
            path = checkout / change.file
            path.write_text(changed(path.read_text(), change))
        return run_tests([mutant.test], checkout, timeout_s) in (FAILED, TIMED_OUT)
    finally:
        for name, text in kept.items():
            (checkout / name).write_text(text)


def survivors(chosen: Sequence[Mutant], timeout_s: float) -> list[Mutant]:
    """Return the mutants that no test notices, and print each outcome.

    Raises SystemExit where a test fails without a change."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder)
        copy_checkout(checkout)
        tests = sorted({mutant.test for mutant in chosen})
        if run_tests(tests, checkout, len(tests) * timeout_s):
            raise SystemExit("a test fails without a change: run them by themselves first")
        found = []
        for mutant in chosen:
            noticed = is_noticed(mutant, checkout, timeout_s)
            print(f"{'noticed' if noticed else 'SURVIVED':8}  {mutant.bound}", flush=True)
            found += [] if noticed else [mutant]
    return found


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = parser_of("studies.bound_mutants", __doc__)
    parser.add_argument("--only", nargs="*", default=[""], help="mutants whose bound has a text")
    parser.add_argument("--timeout-s", type=float, default=120.0, help="longest run of one test")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Run the study."""
    arguments = arguments_of(given)
    chosen = [m for m in mutants() if any(text in m.bound for text in arguments.only)]
    left = survivors(chosen, arguments.timeout_s)
    print(f"{len(chosen) - len(left)} of {len(chosen)} noticed")
    if left:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
