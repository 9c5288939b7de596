"""A wrong setting ends every process that reads it with one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app

SENTENCE = "ANYSR_TILE_PIXELS must be greater than or equal to 4096, but is '2500'.\n"


@pytest.fixture(autouse=True)
def wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANYSR_TILE_PIXELS", "2500")
    monkeypatch.setenv("ANYSR_REDIS_URL", "redis://127.0.0.1:9/0")
    Image.new("RGB", (12, 10)).save(tmp_path / "a.png")


@pytest.mark.parametrize(
    "command",
    [
        "serve --port 0",
        "worker",
        "worker --processes 2",
        "upscale a.png -o out.png --scale 2",
        "upscale a.png -o out.png --scale 2 --budget-ms 1000",
        "calibrate",
    ],
)
def test_commands_end_with_one_sentence(command: str) -> None:
    result = CliRunner().invoke(app, command.split())
    assert (result.exit_code, result.output) == (2, SENTENCE)


def test_a_gateway_ends_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSR_MAX_UPLOADS", "0")
    result = CliRunner().invoke(app, ["gateway"])
    sentence = "ANYSR_MAX_UPLOADS must be greater than or equal to 1, but is '0'.\n"
    assert (result.exit_code, result.output) == (2, sentence)


@pytest.mark.parametrize(
    ("module", "variable"),
    [("workers.main", "ANYSR_TILE_PIXELS"), ("service.main", "ANYSR_MAX_UPLOADS")],
)
def test_processes_end_with_one_sentence(
    module: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "0")
    ended = subprocess.run(
        [sys.executable, "-P", "-m", module], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"{variable} must be greater than or equal to ")
    assert len(ended.stderr.splitlines()) == 1
