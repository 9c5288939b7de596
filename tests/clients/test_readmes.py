"""The examples of both READMEs run against a service."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.documents.blocks import ROOT, Block, blocks

LOCAL = "http://127.0.0.1:8000"
PROGRAMS = {"python": ("example.py", sys.executable), "javascript": ("example.mjs", "node")}
EXAMPLES = [block for block in blocks(*PROGRAMS) if block.document.startswith("clients/")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a picture, in which the module of JavaScript is installed."""
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(tmp_path / "photo.png")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "anysr-client").symlink_to(ROOT / "clients" / "javascript")
    return tmp_path


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
def test_an_example_runs(block: Block, folder: Path, service_url: str) -> None:
    name, program = PROGRAMS[block.language]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    assert LOCAL in block.text
    (folder / name).write_text(block.text.replace(LOCAL, service_url))
    done = subprocess.run(
        [program, name], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert "something else" not in done.stdout
    assert done.stderr == ""
    if "larger.png" in block.text:
        with Image.open(folder / "larger.png") as image:
            assert image.size == (100, 75)


def test_examples_are_found() -> None:
    assert [block.language for block in EXAMPLES].count("python") >= 5
    assert [block.language for block in EXAMPLES].count("javascript") >= 2
