"""The commands that attack a service: their tables and their refusals."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from benchmarks.attacks import run
from benchmarks.attacks.attacking import Attempt
from benchmarks.attacks.run import Row
from benchmarks.mutations import run as mutations
from benchmarks.mutations.run import Answer, Report
from cli.main import app

ROW = Row(
    "idle-connections",
    Attempt(4_102_000_000, {"503": 3}),
    {0: 3, 200: 2500, 429: 100, 503: 7912},
    21823.2,
    39618.1,
    {"gateway": 1_122_000_000, "worker": 500_000_000},
)


def test_the_table_of_attacks_shows_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "run_attacks", lambda *_: [ROW])
    shown = CliRunner().invoke(app, ["bench", "attacks"])
    assert shown.exit_code == 0
    (line,) = (line for line in shown.output.splitlines() if "2500" in line)
    for figure in ("4102.0", "2500", "7912", "100", "21823", "39618", "1122", "500"):
        assert f" {figure} " in line


def test_an_unknown_attack_is_refused() -> None:
    assert CliRunner().invoke(app, ["bench", "attacks", "--only", "none-such"]).exit_code == 2


@pytest.mark.parametrize("faulty", [True, False])
def test_a_fault_of_a_mutation_is_named_with_its_number(
    faulty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [Answer(17, 500, "worker_lost", 1.0, "status 500, worker_lost")] if faulty else []
    report = Report({(200, "png"): 9}, 1.0, faults, 0, {"gateway": (100, 110)})
    monkeypatch.setattr(mutations, "run", lambda *_: report)
    shown = CliRunner().invoke(app, ["bench", "mutations", "--count", "10", "--seed", "3"])
    assert shown.exit_code == int(faulty)
    assert ("--seed 3 --replay 17" in shown.output) is faulty
