"""The service starts from any folder: modules with our names there are never imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.pictures import draw_jpeg
from tests.support.service import running_service

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmarks", "cli", "jobs", "models", "scheduling", "service", "telemetry", "workers")
OURS = re.compile(rf'(?:"-m", "|-m, )(?:{"|".join(PACKAGES)})\.')
"""`-m` and a module of ours, in a list of Python, JSON or YAML."""


@pytest.fixture
def foreign_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a module or a package of the name of each of ours, each of which
    fails when it is imported."""
    for package in PACKAGES[::2]:
        (tmp_path / f"{package}.py").write_text("raise SystemExit('a foreign module')\n")
    for package in PACKAGES[1::2]:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('a foreign package')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("cached_costs", "foreign_folder")
def test_the_service_upscales_from_a_folder_of_foreign_modules() -> None:
    with running_service() as url:
        answer = httpx.post(f"{url}/upscale?scale=2", content=draw_jpeg(40, 30), timeout=60)
    assert answer.status_code == 200, answer.text


@pytest.mark.usefixtures("foreign_folder")
def test_health_checks_run_from_a_folder_of_foreign_modules() -> None:
    commands = re.findall(r'"python", (.*), "cli.health", ', (ROOT / "Dockerfile").read_text())
    assert commands
    for command in commands:
        options = re.findall(r'"([^"]+)"', command)
        environment = {**os.environ, "ANYSR_PORT": "1"}  # nothing listens there
        done = subprocess.run(
            [sys.executable, *options, "cli.health", "live"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "/health/live" in done.stderr


def test_every_module_is_run_without_the_current_folder_on_the_path() -> None:
    shipped = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    shipped += [ROOT / "Dockerfile", *ROOT.glob("*.yml"), *(ROOT / "deploy").rglob("*.y*ml")]
    lines = [line for path in shipped for line in path.read_text().splitlines()]
    runs = [line for line in lines if OURS.search(line)]
    assert len(runs) >= 10
    assert [line for line in runs if "-P" not in line] == []
