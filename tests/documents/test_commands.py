"""Every command in the documents exists, with its options."""

from __future__ import annotations

import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_group

from cli.main import app
from tests.documents.blocks import ROOT, Command, blocks, shell_commands, spans

IMAGES = {"anysr-gateway", "anysr-worker", "anysr-trainer"}
"""Images whose arguments are those of `anysr`."""


def hollow(command: Any) -> Any:
    """Return a command that checks its arguments and does nothing."""
    for inner in getattr(command, "commands", {}).values():
        hollow(inner)
    if not hasattr(command, "commands"):
        command.callback = lambda **_: None
    return command


def parse(*arguments: str) -> None:
    """Parse arguments; raise the error of `anysr` if they are wrong or missing."""
    hollow(get_group(app)).main(list(arguments), standalone_mode=False)


def in_images() -> list[Command]:
    """Return the commands that containers of our images run."""
    found = []
    for command in shell_commands("docker"):
        place = next((n for n, word in enumerate(command) if word in IMAGES), len(command))
        if command[1] == "run" and command[place + 1 :]:
            found.append(("anysr", *command[place + 1 :]))
    return found


def as_text(command: Command) -> str:
    return " ".join(command)


@pytest.mark.parametrize("command", [*shell_commands("anysr"), *in_images()], ids=as_text)
def test_anysr_accepts_the_arguments_of_a_block(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parse(*command[1:])


@pytest.mark.parametrize("command", sorted(set(spans("anysr"))), ids=as_text)
def test_anysr_has_the_named_command_and_options(command: Command) -> None:
    found: Any = get_group(app)
    for word in command[1:]:
        if word in getattr(found, "commands", {}):
            found = found.commands[word]
        elif word.startswith("-"):
            known = {name for p in found.params for name in (*p.opts, *p.secondary_opts)}
            assert word in known
        else:
            assert not hasattr(found, "commands"), f"{word}: no such command"


def test_arguments_that_are_wrong_are_found() -> None:
    for wrong in (["serv"], ["serve", "--prot", "1"], ["serve", "--port", "x"], ["export"]):
        with pytest.raises(Exception, match=r"No such|valid int|Missing"):
            parse(*wrong)


def test_modules_that_are_run_exist() -> None:
    commands = [*shell_commands("python"), *spans("python")]
    modules = {command[2] for command in commands if command[1] == "-m"}
    assert len(modules) >= 5
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_files_that_are_run_exist() -> None:
    commands = [*shell_commands("python"), *spans("python")]
    files = {command[1] for command in commands if command[1].endswith(".py")}
    assert files
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        word
        for command in [*shell_commands("make"), *spans("make")]
        for word in command[1:]
        if "=" not in word and word != "..."
    }
    assert {"serve", "test"} <= named <= targets


def test_files_that_docker_is_given_exist() -> None:
    for command in shell_commands("docker"):
        for option, value in itertools.pairwise(command):
            if option in ("-f", "--compose-file"):
                assert (ROOT / value).is_file(), value


def test_blocks_of_the_shell_are_found() -> None:
    assert len(blocks("sh")) >= 15
