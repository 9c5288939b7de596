"""The documents name what exists, and ARCHITECTURE.md gives a reason for every dependency."""

from __future__ import annotations

import io
import re
import tokenize
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.documents.blocks import FENCED, ROOT

ARCHITECTURE = ROOT / "ARCHITECTURE.md"
DOCUMENTS = [ARCHITECTURE, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")}
FOLDERS = {*PACKAGES, "clients", "docs", "tests", "examples"}
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PATH = re.compile(r"[\w-]+(?:/[\w.-]+)+/?")
DOTTED = re.compile(r"[a-z_]+(?:\.\w+)+")
CLASS = re.compile(r"[A-Z][a-z]\w*")
OTHERS_WORDS = {
    *("Accept", "Host", "QuantizeLinear", "Location", "Set5", "Set14", "False"),
    *("Authorization", "RateLimit", "Age"),
}
"""Names in the form of a class that are not ours: an operator, headers, data sets, a value."""
BESIDE = {"data/bench"}
"""A folder that CONTRIBUTING places beside the checkout."""


def spans(document: Path) -> set[str]:
    """Return what stands between backticks, outside fenced blocks."""
    return set(SPAN.findall(FENCED.sub("", document.read_text())))


@cache
def identifiers(path: Path) -> frozenset[str]:
    """Return all identifiers of a Python file; comments and texts have none."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return frozenset(token.string for token in tokens if token.type == tokenize.NAME)


@cache
def defined() -> frozenset[str]:
    """Return the names of all classes in the packages, and of all alerts."""
    places = [*PACKAGES, "clients/python"]
    sources = [path.read_text() for place in places for path in (ROOT / place).rglob("*.py")]
    rules = [path.read_text() for path in (ROOT / "deploy/prometheus/rules").glob("*.yml")]
    classes = {name for text in sources for name in re.findall(r"^class (\w+)", text, re.M)}
    return frozenset(classes | {n for text in rules for n in re.findall(r"alert: (\w+)", text)})


def module(name: str) -> Path | None:
    """Return the file or folder of a module, named from the root; None where there is none."""
    place = ROOT.joinpath(*name.split("/"))
    ways = place.with_name(f"{place.name}.py"), place / "__init__.py", place
    return next((way for way in ways if way.exists()), None)


def named_in(file: Path | None, names: list[str]) -> bool:
    """Whether a module exists and names all of these."""
    return file is not None and (not names or (file.is_file() and {*names} <= identifiers(file)))


def path_exists(span: str) -> bool:
    """Whether `folder/file`, `package/module` or `package/module.name` is in the tree."""
    if (ROOT / span).exists():
        return True
    folder, _, last = span.rpartition("/")
    stem, *names = last.split(".")
    return named_in(module(f"{folder}/{stem}"), names)


def dotted_exists(span: str) -> bool:
    """Whether `package.module` or `package.module.name` is in the tree."""
    parts = span.split(".")
    cuts = range(len(parts), 0, -1)
    return any(named_in(module("/".join(parts[:cut])), parts[cut:]) for cut in cuts)


def missing_in(found: set[str]) -> set[str]:
    """Return the spans in the form of a path, a module or a class that name nothing of ours."""
    paths = {s for s in found if PATH.fullmatch(s) and s.partition("/")[0] in FOLDERS}
    dotted = {s for s in found if DOTTED.fullmatch(s) and s.partition(".")[0] in PACKAGES}
    named = {s for s in found if CLASS.fullmatch(s)} - OTHERS_WORDS
    classes = {s for s in named if not (ROOT / s).exists()}
    return (
        {s for s in paths - BESIDE if not path_exists(s)}
        | {s for s in dotted if not dotted_exists(s)}
        | (classes - defined())
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_only_what_exists(document: Path) -> None:
    assert missing_in(spans(document)) == set()


def test_architecture_names_many_modules_and_classes() -> None:
    found = spans(ARCHITECTURE)
    assert len([s for s in found if PATH.fullmatch(s)]) > 50
    assert {"RedisQueue", "LoadedModels", "scheduling/policy.admit", "models.catalog"} <= found


def test_names_of_nothing_are_found() -> None:
    gone = {"jobs/queues", "workers/memory.fit", "models.catalogue", "models.catalog.Warehouse"}
    gone |= {"studies/gone.py", "RedisBroker", "scheduling/simulator"}
    there = {"workers/memory.fit_to_memory", "images/containers", "models.catalog.Catalog"}
    assert missing_in(gone | there | {"QuantizeLinear", "text/plain"}) == gone


def test_architecture_gives_a_reason_for_every_dependency_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["build-system"]["requires"], project["project"]["dependencies"]]
    groups += project["project"]["optional-dependencies"].values()
    needed = {canonicalize_name(Requirement(line).name) for group in groups for line in group}
    table = ARCHITECTURE.read_text().partition("## Libraries, one line each\n")[2]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("|")][2:]
    assert all(reason.strip() for _, reason in rows)
    named = [re.sub(r"\([^)]*\)", "", names).split(",") for names, _ in rows]
    given = [canonicalize_name(name.strip()) for names in named for name in names]
    assert sorted(given) == sorted(needed)
