"""Each example runs against a real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.support.pictures import draw_jpeg
from tests.support.service import running_service

FOLDER = Path(__file__).parents[2] / "examples"
CALLERS = {
    "upscale.sh": ("sh", "curl"),
    "upscale.py": (sys.executable, sys.executable),
    "job.mjs": ("node", "node"),
    "triton_client.py": (sys.executable, sys.executable),
}
"""Command of each example, and the program that it needs."""


@pytest.fixture(params=CALLERS)
def example(request: pytest.FixtureRequest) -> list[str]:
    """The command of an example that enlarges a picture; skips where its program is missing."""
    program, needed = CALLERS[request.param]
    if shutil.which(needed) is None:
        pytest.skip(f"{needed} is not installed")
    return [program, str(FOLDER / request.param)]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A drawn JPEG of 40 x 30 pixels."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(draw_jpeg(40, 30))
    return path


def run(command: list[str], *arguments: str | Path, **variables: str) -> tuple[int, str]:
    """The status of a command, and all that it said."""
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_an_example_upscales_a_picture(example: list[str], photo: Path, service_url: str) -> None:
    larger = photo.with_name("larger.jpg")
    status, said = run(example, photo, "2.5", larger, ANYSR_SERVER=service_url)
    assert status == 0, said
    with Image.open(larger) as image:
        assert image.size == (100, 75)
    assert re.search(r"x-anysr-model: |anysr-\w+ at width |succeeded 100 %", said), said


def test_an_example_reports_why_there_is_no_picture(
    example: list[str], photo: Path, service_url: str
) -> None:
    larger = photo.with_name("larger.jpg")
    status, said = run(example, photo, "9", larger, ANYSR_SERVER=service_url)
    assert status == 1
    assert re.search(r"invalid_request|^422: The scale", said), said
    assert not larger.exists()


def test_a_model_folder_of_your_own_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "my-models"
    command = [sys.executable, str(FOLDER / "model_folder.py")]
    status, said = run(command, folder, "anysr-xs", "anysr-s")
    assert status == 0, said
    with running_service(ANYSR_MODELS=str(folder)) as url:
        found = httpx.get(f"{url}/models").json()
        health = httpx.get(f"{url}/health/ready").json()
    assert found["default"] == "anysr-xs"
    assert {model["name"]: model["ready"] for model in found["models"]} == {
        "anysr-xs": True,
        "anysr-s": True,
    }
    assert [worker["broken"] for worker in health["workers"]] == [{}]


def test_every_example_is_in_the_list_and_in_these_tests() -> None:
    listed = re.findall(r"^\| \[([\w.]+)\]", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert set(listed) == {path.name for path in FOLDER.iterdir()} - {"README.md", "__pycache__"}
    assert set(listed) == {*CALLERS, "model_folder.py"}
