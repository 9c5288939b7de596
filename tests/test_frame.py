"""CI, hooks, packages, changelog and the list of documents match the code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.skips import REMEDIES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def packages() -> list[str]:
    """Return the folders of the installed packages."""
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    names = [pattern.rstrip("*") for pattern in find["include"]]
    places = [Path(place, name) for name in names for place in find["where"]]
    return [str(place) for place in places if (ROOT / place).is_dir()]


def public_ci() -> dict[str, Any]:
    """Return the only job of the public CI."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job: dict[str, Any] = workflow["jobs"]["test"]
    return job


def test_ci_runs_the_gate_with_all_programs_of_the_tests() -> None:
    steps = [step.get("run", "") for step in public_ci()["steps"]]
    assert steps[-1] == "make test"
    installed = set(" ".join(steps).split())
    needed = {do.removeprefix("apt install ") for do in REMEDIES.values() if "apt" in do}
    assert needed
    assert needed <= installed


def test_ci_runs_the_oldest_supported_python() -> None:
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert oldest in public_ci()["strategy"]["matrix"]["python"]


@pytest.mark.parametrize("name", ["ruff", "ruff-format"])
def test_a_hook_runs_on_a_file(name: str) -> None:
    entry = hooks()[name]["entry"].removeprefix(".venv/bin/").replace("--fix", "--no-fix")
    program, *options = entry.split()
    command = [str(Path(sys.executable).parent / program), *options, "tests/test_frame.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def hooks() -> dict[str, dict[str, Any]]:
    """Return the hooks of pre-commit, by name."""
    [repo] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    return {hook["id"]: hook for hook in repo["hooks"]}


def test_hooks_are_the_tools_of_the_gate() -> None:
    gate = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert gate is not None
    tools = set(re.findall(r"\$\(BIN\)/(ruff \w+|mypy)", gate[1]))
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks().values()]
    assert {tool for tool in tools if any(entry.startswith(tool) for entry in entries)} == tools
    assert len(entries) == len(tools)


def test_every_package_is_marked_as_typed() -> None:
    assert [name for name in packages() if not (ROOT / name / "py.typed").exists()] == []
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["*"]


def test_types_are_checked_wherever_there_is_python() -> None:
    assert {*packages(), "deploy", "examples", "studies", "tests"} == set(
        PROJECT["tool"]["mypy"]["files"]
    )


def test_the_changelog_has_its_stated_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    unreleased, *releases = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert unreleased == "Unreleased"
    dates = []
    for release in releases:
        _, day = re.fullmatch(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)", release).groups()  # type: ignore[union-attr]
        dates.append(date.fromisoformat(day))
    assert dates == sorted(dates, reverse=True)
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= KINDS
    assert releases[0].startswith(f"{PROJECT['project']['version']} - ")


def test_the_list_of_documents_has_every_document() -> None:
    index = ROOT / "docs" / "index.md"
    links = re.findall(r"\]\(([^)#]+)", index.read_text())
    linked = {(index.parent / link).resolve() for link in links}
    documents = {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")}
    assert sorted(str(path.relative_to(ROOT)) for path in documents - linked - {index}) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/[!c]*.yml")), ids=str)
def test_an_issue_form_has_a_required_field(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form)
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert any(field.get("validations", {}).get("required") for field in asked)
    ids = [field["id"] for field in asked]
    assert len(ids) == len(set(ids))
