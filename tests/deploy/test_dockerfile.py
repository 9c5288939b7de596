"""Rules for the Dockerfile that can be checked without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL = ("gateway", "worker", "worker-gpu", "trainer")


def stages() -> dict[str, str]:
    """Return the instructions of each stage, including those of its base stages."""
    found: dict[str, str] = {}
    for text in re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]:
        head = re.match(r"FROM (\S+) AS (\S+)\n", text)
        assert head is not None, text.splitlines()[0]
        base, name = head.groups()
        found[name] = found.get(base, "") + text
    return found


def test_hadolint_finds_nothing():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or "hadolint"
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_build_needs_no_syntax_from_a_registry():
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE, re.MULTILINE | re.IGNORECASE)


def test_base_images_are_pinned_to_more_than_a_name():
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    for base in bases:
        assert re.search(r":\d+\.\d+", base), base


@pytest.mark.parametrize("name", FINAL)
def test_a_final_stage_has_a_user_a_health_check_a_stop_signal_and_labels(name):
    stage = stages()[name]
    users = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)
    assert users[-1] == "10001:10001"
    check = re.findall(r"^HEALTHCHECK .*?CMD \[(.*)\]$", stage, re.MULTILINE | re.DOTALL)
    assert len(check) == 1
    assert check[0].startswith('"python", "-P", "-m", "cli.health", ')
    assert "STOPSIGNAL SIGTERM\n" in stage
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in stage


def test_packages_are_checked_by_hash_and_never_built():
    installs = re.findall(r"install --quiet ([^&]*?)-r /requirements/(\S+)\.txt", DOCKERFILE)
    assert {name for _, name in installs} == {*FINAL, "build"}
    for options, name in installs:
        assert "--require-hashes" in options, name
        assert "--only-binary :all:" in options, name


def test_the_builder_gets_every_package_and_nothing_secret():
    given = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    find = project["tool"]["setuptools"]["packages"]["find"]
    names = [name.rstrip("*") for name in find["include"]]
    places = [Path(place, name) for name in names for place in find["where"]]
    assert {str(place) for place in places if (ROOT / place).is_dir()} <= given
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert given.isdisjoint({".env", "secrets", ".git"})
