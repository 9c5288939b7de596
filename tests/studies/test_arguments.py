"""Every study has one form of command line, and its docstring says what, where and how."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from types import ModuleType

import pytest

from tests.documents.blocks import ROOT, shell_commands

FOLDER = ROOT / "studies"
NAMES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if "def main(" in path.read_text()
)


@pytest.fixture(params=NAMES)
def study(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_all_studies_are_found() -> None:
    assert len(NAMES) >= 9
    assert "studies.gpu.train" in NAMES


def test_help_begins_with_the_docstring(
    study: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        study.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: python -m {study.__name__} ")
    assert study.__doc__
    assert study.__doc__.strip() in shown


def test_the_docstring_names_a_document_and_a_command_that_is_accepted(study: ModuleType) -> None:
    assert study.__doc__
    figures = re.search(r'^Figures: ([\w/.-]+\.md)(?:, "([^"]+)")?', study.__doc__, re.M)
    assert figures is not None
    document, section = figures.groups()
    assert section is None or f"## {section}\n" in (ROOT / document).read_text()
    assert (ROOT / document).is_file()
    run = re.search(r"^Run: (python -m .*)$", study.__doc__, re.M)
    assert run is not None
    command = shlex.split(run[1])
    assert command[2] == study.__name__
    study.arguments_of(command[3:])


def test_the_commands_of_the_documents_are_accepted() -> None:
    commands = [c for c in shell_commands("python") if c[2].startswith("studies.")]
    assert commands
    for command in commands:
        importlib.import_module(command[2]).arguments_of(command[3:])


@pytest.mark.parametrize("name", ["studies.recipes", "studies.trunks"])
def test_names_of_trainings_are_checked(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    study = importlib.import_module(name)
    assert study.arguments_of(["--data", "folder"]).names == []
    with pytest.raises(SystemExit):
        study.arguments_of(["--data", "folder", "no such name"])
    assert "unknown name 'no such name'" in capsys.readouterr().err


def test_a_study_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "studies.gpu.train", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "--minutes" in shown
