"""Every fenced block of the documents has a checked language, and is correct in it."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable

import pytest
import yaml

from tests.documents.blocks import blocks


def check_python(text: str) -> None:
    """Raise SyntaxError or ModuleNotFoundError."""
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise ModuleNotFoundError(name)


def check_shell(text: str) -> None:
    """Raise ValueError with what the shell says."""
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)


def check_javascript(text: str) -> None:
    """Raise ValueError with what node says; skip without it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, "--input-type=module", "--check", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)


def check_yaml(text: str) -> None:
    """Raise ValueError with what the parser says."""
    try:
        list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


CHECKS: dict[str, Callable[[str], object]] = {
    "javascript": check_javascript,
    "json": json.loads,
    "python": check_python,
    "sh": check_shell,
    "text": str,
    "toml": tomllib.loads,
    "yaml": check_yaml,
}


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_block_is_correct_in_its_language(block) -> None:
    CHECKS[block.language](block.text)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("javascript", "const ="),
        ("json", "{'a': 1}"),
        ("python", "import os, nothing_of_this_name"),
        ("python", "print("),
        ("sh", "curl 'a"),
        ("toml", "a = b"),
        ("yaml", "a: ["),
    ],
)
def test_an_incorrect_block_is_found(language: str, text: str) -> None:
    with pytest.raises((ValueError, SyntaxError, ModuleNotFoundError)):
        CHECKS[language](text)
