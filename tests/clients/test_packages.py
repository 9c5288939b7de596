"""Both packages: versions, licences, and a wheel that needs httpx alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import anysr_client

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "clients"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_versions_are_those_of_the_service() -> None:
    version = PROJECT["project"]["version"]
    module = (CLIENTS / "javascript" / "anysr.js").read_text()
    assert anysr_client.__version__ == version
    assert json.loads((CLIENTS / "javascript" / "package.json").read_text())["version"] == version
    assert f'export const VERSION = "{version}";' in module


def test_each_package_has_the_licence() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    for place in ("python", "javascript"):
        assert (CLIENTS / place / "LICENSE").read_bytes() == licence


def test_files_of_the_package_of_javascript_exist() -> None:
    package = json.loads((CLIENTS / "javascript" / "package.json").read_text())
    assert all((CLIENTS / "javascript" / name).is_file() for name in package["files"])
    assert "dependencies" not in package


def test_the_service_has_the_client_in_its_own_wheel() -> None:
    from setuptools import find_namespace_packages

    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    found = {
        name
        for place in find["where"]
        for name in find_namespace_packages(str(ROOT / place), find["exclude"], find["include"])
    }
    assert {"anysr_client", "cli.upscaling"} <= found
    assert "clients" not in {name.partition(".")[0] for name in found}


def needed_by(name: str) -> Iterator[str]:
    """Yield a distribution and all that it needs here."""
    yield name
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from needed_by(requirement.name)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The interpreter of an environment that has httpx, what that needs, and nothing else."""
    venv.create(tmp_path / "bare", with_pip=False)
    [packages] = (tmp_path / "bare").glob("lib/python*/site-packages")
    for name in set(needed_by("httpx")):
        installed = distribution(name)
        tops = {file.parts[0] for file in installed.files or () if file.parts[0] != ".."}
        for top in tops - {"__pycache__"}:
            (packages / top).symlink_to(str(installed.locate_file(top)))
    return tmp_path / "bare" / "bin" / "python"


def test_the_wheel_runs_beside_httpx_alone(
    tmp_path: Path, bare: Path, service_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setuptools = distribution("setuptools").version
    if Version(setuptools) < Version("77"):
        pytest.skip(f"extra test is missing: setuptools {setuptools} is too old")
    monkeypatch.delenv("PYTHONPATH")
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(CLIENTS / "python"), str(source)], check=True)
    build = f"from setuptools import build_meta; print(build_meta.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name == f"anysr_client-{anysr_client.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as files:
        [facts] = (name for name in files.namelist() if name.endswith("/METADATA"))
        needed = [
            line.partition(": ")[2]
            for line in files.read(facts).decode().splitlines()
            if line.startswith("Requires-Dist")
        ]
        assert [Requirement(line).name for line in needed] == ["httpx"]
        assert {"anysr_client/py.typed", "anysr_client/client.py"} <= set(files.namelist())
        files.extractall(next((tmp_path / "bare").glob("lib/python*/site-packages")))
    script = (
        "import sys, anysr_client\n"
        f"with anysr_client.Client({service_url!r}) as client: print(client.models().default)\n"
        "assert not {'numpy', 'pydantic', 'jobs'} & set(sys.modules)\n"
    )
    run = subprocess.run([str(bare), "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("anysr-")
