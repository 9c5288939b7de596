"""Alerts fire under their conditions only, and each has a runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.source.overview import ALLOWED

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))
RUNBOOKS = ROOT / "docs/runbooks.md"

promtool = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(promtool is None, reason="promtool is not installed")


def alerts() -> dict[str, dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    rules = [rule for group in groups for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert promtool is not None
    command = [promtool, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_promtool
def test_configuration_and_rules_are_valid() -> None:
    config = run("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")
    assert config.returncode == 0, config.stderr
    rules = run("check", "rules", "--lint-fatal", *RULES)
    assert rules.returncode == 0, rules.stderr


@needs_promtool
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_as_expected(case: Path) -> None:
    done = run("test", "rules", case)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_a_wrong_expectation_is_found(tmp_path: Path) -> None:
    """The tests above can fail: this case expects an alert of a healthy service."""
    case = yaml.safe_load((PROMETHEUS / "tests/queue.yml").read_text())
    case["rule_files"] = [str(path) for path in RULES]
    for test in case["tests"]:
        for series in test["input_series"]:
            series["values"] = "1x40"
    (tmp_path / "case.yml").write_text(yaml.safe_dump(case))
    done = run("test", "rules", tmp_path / "case.yml")
    assert done.returncode != 0
    assert "AnysrNoLiveWorker" in done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_is_tested_to_fire_and_not_to_fire(name: str) -> None:
    tests = [test for case in CASES for test in yaml.safe_load(case.read_text())["tests"]]
    seen = {
        bool(test["exp_alerts"])
        for case in tests
        for test in case["alert_rule_test"]
        if test["alertname"] == name
    }
    assert seen == {True, False}


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_has_summary_severity_and_runbook(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    headings = re.findall(r"^## (Anysr\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(alerts())


def test_every_runbook_has_meaning_checks_and_remedy() -> None:
    for section in re.split(r"^## ", RUNBOOKS.read_text(), flags=re.MULTILINE)[1:]:
        if section.startswith("Anysr"):
            parts = re.findall(r"^\*\*(.+?)\.\*\*", section, re.MULTILINE)
            assert parts == ["Means", "Check", "Do"], section.splitlines()[0]


def test_the_objective_is_the_same_in_alerts_and_dashboards() -> None:
    burning = [alerts()[name]["expr"] for name in ("AnysrBudgetBurnFast", "AnysrBudgetBurnSlow")]
    parts = re.findall(r"ratio_rate\w+ > (?:[\d.]+ \* )?([\d.]+)", " ".join(burning))
    assert len(parts) == 8
    assert {float(part) for part in parts} == {ALLOWED}
