"""The imports of ARCHITECTURE.md: allowed ones between packages, and none of torch in serving."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ELSEWHERE = {"anysr_client": ROOT / "clients" / "python"}
"""Folders of packages that are not in the root."""

ALLOWED = {
    "anysr_client": set(),
    "jobs": set(),
    "models": set(),
    "telemetry": set(),
    "deploy": set(),
    "images": {"jobs.errors", "jobs.formats"},
    "scheduling": {
        *("jobs.backlog", "jobs.budget", "jobs.errors", "jobs.formats", "jobs.job"),
        *("images.compression", "images.header", "images.limits", "images.memory"),
        *("models.catalog", "models.expectation", "models.geometry", "models.strength"),
        "models.adapters.patches",
    },
    "service": {
        *("images", "jobs", "scheduling", "telemetry"),
        "models.catalog",
    },
    "workers": {
        *("images", "jobs", "scheduling", "telemetry"),
        *("models.adapters", "models.catalog", "models.expectation", "models.geometry"),
    },
    "benchmarks": {"images", "jobs", "scheduling", "models", "service", "workers"},
    "studies": {"benchmarks", "images", "jobs", "scheduling", "models", "workers"},
    "cli": {
        *("images", "jobs", "scheduling", "models"),
        *("service", "workers", "telemetry", "benchmarks"),
        "anysr_client",
    },
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    place = ELSEWHERE.get(package, ROOT)
    for path in sorted((place / package).rglob("*.py")):
        parts = path.relative_to(place).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> set[str]:
    """Return the full names of the project's modules that a file imports, in any scope."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide their package"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] in ALLOWED}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_has_only_allowed_imports(package):
    for name, path in modules(package):
        for imported in imports(path):
            inside = imported.partition(".")[0] == package
            allowed = any(
                imported == target or imported.startswith(f"{target}.")
                for target in ALLOWED[package]
            )
            assert inside or allowed, f"{name} may not import {imported}"


def test_the_client_imports_nothing_but_httpx_and_the_standard_library():
    for name, path in modules("anysr_client"):
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
        assert found - sys.stdlib_module_names <= {"anysr_client", "httpx"}, name


def test_there_is_no_import_cycle():
    files = {name: path for package in ALLOWED for name, path in modules(package)}
    graph = {}
    for name, path in files.items():
        targets = set()
        for imported in imports(path):
            module = imported if imported in files else imported.rpartition(".")[0]
            if module in files and module != name:
                targets.add(module)
        graph[name] = targets
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")
    assert set(order) == set(files)


def test_every_module_has_a_docstring():
    for package in ALLOWED:
        for name, path in modules(package):
            assert ast.get_docstring(ast.parse(path.read_text())), f"{name} has no docstring"


@pytest.mark.parametrize("package", ["jobs", "images", "scheduling", "service", "workers"])
def test_serving_packages_import_no_experiments(package):
    experiments = ("scheduling.simulation", "models.training", "studies", "benchmarks")
    for name, path in modules(package):
        if not name.startswith("scheduling.simulation"):
            for imported in imports(path):
                assert not imported.startswith(experiments), f"{name} may not import {imported}"


@pytest.mark.parametrize(
    "entry", ["service.main", "workers.main", "cli.main", "models.catalog", "models.zoo"]
)
def test_serving_imports_no_torch(entry):
    blocked = "import sys; sys.modules['torch'] = None; sys.modules['safetensors'] = None"
    script = f"{blocked}; import {entry}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_that_is_committed_is_larger_than_20_mb():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert files
    assert {f.name for f in files if f.is_file() and f.stat().st_size > 20e6} == set()
