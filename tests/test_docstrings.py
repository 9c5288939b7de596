"""Names in docstrings, `module.Name`, exist in one of the modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.test_arrows import ALLOWED, modules

NAMED = re.compile(r"`((?:[a-z_]+\.)+)([A-Z]\w+)`")


def defined(path: Path) -> Iterator[str]:
    """Return the names that a module binds at its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_every_named_member_of_a_module_exists() -> None:
    files = {name: path for package in ALLOWED for name, path in modules(package)}
    names = {f".{module}.{name}" for module, path in files.items() for name in defined(path)}
    spoken = {
        f".{module}{name}"
        for path in files.values()
        for module, name in NAMED.findall(path.read_text())
    }
    assert len(spoken) >= 10
    assert [s for s in sorted(spoken) if not any(name.endswith(s) for name in names)] == []
