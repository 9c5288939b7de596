"""`anysr bench nemesis`: what it plans, what it shows, and its status."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.nemesis import run
from benchmarks.nemesis.checker import Broken, Violation
from benchmarks.nemesis.faults import Kind, Plan
from benchmarks.nemesis.history import Event, What
from benchmarks.nemesis.summary import Summary, summarise
from cli.main import app

FAULT = Event(What.FAULT, 1.0, until=1.0, text=Kind.REDIS_KILL.value, count=0)


def planned(monkeypatch: pytest.MonkeyPatch, *found: Violation) -> list[Plan]:
    """Let every run find these violations, and return the plans of all."""
    plans: list[Plan] = []

    def counted(plan: Plan, *_: object) -> Summary:
        plans.append(plan)
        summary = summarise(plan.seed, plan.minutes, [Event(What.BEGIN, 0.0, wall_ms=0.0), FAULT])
        return Summary(**{**vars(summary), "found": found})

    monkeypatch.setattr(run, "run", counted)
    return plans


def test_a_run_without_a_violation_ends_with_status_0(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plans, summary = planned(monkeypatch), tmp_path / "summary.json"
    command = ["bench", "nemesis", "--seed", "7", "--minutes", "2", "--times", "3"]
    shown = CliRunner().invoke(app, [*command, "--only", "Redis killed", "--json", str(summary)])
    assert shown.exit_code == 0
    assert "every promise was kept" in shown.output
    assert plans == [Plan(7, 2.0, times=3.0, only=frozenset({Kind.REDIS_KILL}))]
    assert json.loads(summary.read_text())["faults"]["Redis killed"] == 1


def test_a_violation_is_shown_and_is_status_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    planned(monkeypatch, Violation(12.5, Broken.LOST, "a job"))
    shown = CliRunner().invoke(app, ["bench", "nemesis", "--keep", str(tmp_path)])
    assert shown.exit_code == 1
    assert "BROKEN after 12.50 s: lost: a job" in shown.output
    assert f"seed 1; the history is {tmp_path / 'history.jsonl'}" in shown.output


def test_the_history_stays_only_where_it_shows_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    planned(monkeypatch)
    CliRunner().invoke(app, ["bench", "nemesis"])
    assert not list(tmp_path.iterdir())
    planned(monkeypatch, Violation(12.5, Broken.LOST, "a job"))
    CliRunner().invoke(app, ["bench", "nemesis"])
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unknown_fault_is_refused() -> None:
    assert CliRunner().invoke(app, ["bench", "nemesis", "--only", "none-such"]).exit_code == 2
