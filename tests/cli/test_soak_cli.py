"""`anysr bench soak`: what it plans, what it shows, and its status."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.soak import run, verdict
from benchmarks.soak.outcomes import Outcome
from benchmarks.soak.plan import Plan
from benchmarks.soak.verdict import Verdict
from cli.main import app

FAULT = Outcome(3, "batch", 1.0, 2.0, "one key has two jobs", fault=True, late=False)


def planned(monkeypatch: pytest.MonkeyPatch, *faults: Outcome) -> list[Plan]:
    """Let every run find these faults, and return the plans of all."""
    plans: list[Plan] = []

    def ran(plan: Plan, *_: object) -> None:
        plans.append(plan)

    def found(_: Path) -> Verdict:
        return Verdict(plans[-1], 1.0, 0.2, (), (), faults, 0, {}, (), ())

    monkeypatch.setattr(run, "run", ran)
    monkeypatch.setattr(verdict, "verdict_of", found)
    return plans


def test_a_run_that_keeps_nothing_ends_with_status_0(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plans = planned(monkeypatch)
    command = ["bench", "soak", str(tmp_path / "run"), "--minutes", "60", "--seed", "7"]
    shown = CliRunner().invoke(app, [*command, "--cores", "0.5"])
    assert shown.exit_code == 0, shown.output
    assert plans == [Plan(60.0, seed=7, cores=0.5)]
    assert "Faults: 0" in shown.output


def test_a_fault_is_shown_and_is_status_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planned(monkeypatch, FAULT)
    shown = CliRunner().invoke(app, ["bench", "soak", str(tmp_path / "run")])
    assert shown.exit_code == 1
    assert "- batch, request 3: one key has two jobs" in shown.output


def test_a_folder_with_a_run_and_a_plan_without_time_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    planned(monkeypatch)
    short = CliRunner().invoke(app, ["bench", "soak", str(tmp_path / "run"), "--minutes", "5"])
    assert (short.exit_code, "more than 10 minutes" in short.output) == (2, True)
    monkeypatch.undo()
    (tmp_path / "plan.json").write_text("{}")
    again = CliRunner().invoke(app, ["bench", "soak", str(tmp_path)])
    assert (again.exit_code, "has a run already" in again.output) == (2, True)
