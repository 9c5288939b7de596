"""All fuzz targets, one after the other: `python -m tests.fuzz.run --minutes 5` (`make fuzz`).

Prints what each target did. The status is 1 if an input was found that a target does not accept.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import NAMES, target

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".fuzz"
"""Ignored by git: `corpus/NAME` grows with each run, `crashes/NAME` keeps the findings."""
MOST_MEMORY_MB = 2048
KILLED = 124
LINES_SHOWN = 60
"""Last lines of a failed fuzzer's output: traceback, input and figures."""
START_S = 60
"""Time beside the fuzzing itself in which a fuzzer must end: imports, seeds, its last input."""


@dataclass(frozen=True)
class Outcome:
    """What the fuzzer of one target did."""

    name: str
    executions: int
    features: int
    """Distinct events of coverage that the whole corpus reaches."""
    inputs: int
    """Size of the corpus."""
    crashes: int
    """Inputs kept by this run, because the target does not accept them."""
    output: str
    failed: bool


def main(minutes: float, names: list[str]) -> int:
    """Fuzz the targets for so long in total; return the exit status."""
    outcomes = [fuzz(name, 60 * minutes / len(names)) for name in names]
    for one in outcomes:
        if one.failed:
            print(f"{one.name} failed:", *one.output.splitlines()[-LINES_SHOWN:], sep="\n")
    print(f"{'target':12}{'executions':>12}{'features':>10}{'corpus':>8}{'crashes':>9}")
    for one in outcomes:
        row = f"{one.name:12}{one.executions:12}{one.features:10}{one.inputs:8}{one.crashes:9}"
        print(row + ("  FAILED" if one.failed else ""))
    print(f"crashing inputs are kept in {FOLDER / 'crashes'}")
    return int(any(one.failed for one in outcomes))


def fuzz(name: str, seconds: float, folder: Path = FOLDER) -> Outcome:
    """Fuzz one target, until its time is over or at its first finding."""
    corpus, crashes = folder / "corpus" / name, folder / "crashes" / name
    for place in (corpus, crashes):
        place.mkdir(parents=True, exist_ok=True)
    write_seeds(name, corpus)
    before = set(crashes.iterdir())
    command = [sys.executable, "-m", "tests.fuzz.fuzz_one", name, str(corpus)]
    command += [f"-max_total_time={max(1, round(seconds))}", f"-artifact_prefix={crashes}/"]
    command += [f"-rss_limit_mb={MOST_MEMORY_MB}", "-print_final_stats=1"]
    status, output = _run(command, seconds + START_S)
    executions, features = figures(output)
    kept = len(set(crashes.iterdir()) - before)
    failed = status != 0 or kept > 0
    return Outcome(name, executions, features, len(list(corpus.iterdir())), kept, output, failed)


def write_seeds(name: str, folder: Path) -> None:
    """Write the seeds of a target into its corpus, each under the name of its content."""
    for seed in target(name).seeds():
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)


def _run(command: list[str], seconds: float) -> tuple[int, str]:
    """Return status and output of a command; KILLED as status if it had to be ended."""
    out, both = subprocess.PIPE, subprocess.STDOUT
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=out, stderr=both, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        return KILLED, (error.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def figures(output: str) -> tuple[int, int]:
    """Return executions and features of libFuzzer's last line of status: `#N DONE cov: C ft: F`."""
    lines = re.findall(r"^#(\d+)\s.*\bft: (\d+)", output, re.MULTILINE)
    executions = re.findall(r"stat::number_of_executed_units:\s*(\d+)", output)
    last, features = lines[-1] if lines else ("0", "0")
    return int(executions[-1] if executions else last), int(features)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="in total")
    parser.add_argument("--only", choices=NAMES, action="append", help="a target; repeatable")
    given = parser.parse_args()
    sys.exit(main(given.minutes, given.only or list(NAMES)))
