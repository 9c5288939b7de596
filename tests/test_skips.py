"""A test run ends with a summary of skipped tests, and what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.skips import summary

ROOT = Path(__file__).parents[1]


def test_skipped_tests_are_counted_by_reason_most_frequent_first() -> None:
    redis, cuda = "Skipped: redis-server is not installed", "Skipped: needs a CUDA device"
    assert list(summary([cuda, redis, redis, "Skipped: the moon is full"])) == [
        "2 skipped: redis-server is not installed — apt install redis-server",
        "1 skipped: needs a CUDA device — a machine with an NVIDIA GPU",
        "1 skipped: the moon is full",
    ]


def test_a_run_without_prometheus_reports_it_at_its_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/deploy/test_rules.py", "-k", "valid"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    *_, heading, line, _ = done.stdout.splitlines()
    assert "what was not tested here" in heading, done.stdout
    assert line == "1 skipped: promtool is not installed — apt install prometheus"
