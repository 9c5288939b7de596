"""The types of the page's JavaScript, as its JSDoc declares them, checked by TypeScript.

`make types-js` fetches the compiler; these tests run wherever one is installed and never fetch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = Path("service/static")
CONFIGS = ("jsconfig.json", "jsconfig.worker.json")
"""The page's modules see a document; its worker sees none."""


def find_tsc() -> str | None:
    """Return the compiler of `ANYSR_TSC`, of the virtual environment or of PATH; None without."""
    installed = Path(sys.prefix) / "node_modules" / ".bin" / "tsc"
    candidates = (os.environ.get("ANYSR_TSC"), str(installed), "tsc")
    return next(filter(None, (shutil.which(path) for path in candidates if path)), None)


TSC = find_tsc()

pytestmark = pytest.mark.skipif(
    TSC is None, reason="no tsc: run `make types-js`, put one on PATH or name it in ANYSR_TSC"
)


def tsc(root: Path, config: str, *options: str) -> tuple[int, str]:
    """Run the compiler on a configuration in `root`; its exit status and what it printed."""
    command = (str(TSC), "--project", str(root / config), "--pretty", "false", *options)
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize("config", CONFIGS)
def test_types_agree(config: str) -> None:
    assert tsc(ROOT, config) == (0, "")


def test_every_script_is_checked() -> None:
    listed: set[Path] = set()
    for config in CONFIGS:
        status, output = tsc(ROOT, config, "--listFilesOnly")
        assert status == 0, output
        listed |= {Path(line) for line in output.splitlines()}
    assert set((ROOT / STATIC).glob("*.js")) <= listed


@pytest.mark.parametrize(
    ("config", "name", "line"),
    [
        ("jsconfig.json", "dom.js", 'byId("run", HTMLElement).disabled = true;'),
        ("jsconfig.worker.json", "bicubic-worker.js", "document.title;"),
    ],
    ids=["page", "worker"],
)
def test_a_wrong_type_is_found(tmp_path: Path, config: str, name: str, line: str) -> None:
    shutil.copytree(ROOT / STATIC, tmp_path / STATIC)
    for file in CONFIGS:
        shutil.copy(ROOT / file, tmp_path)
    script = tmp_path / STATIC / name
    script.write_text(f"{script.read_text()}\n{line}\n")
    status, output = tsc(tmp_path, config)
    assert status != 0
    assert f"{name}({len(script.read_text().splitlines())}," in output
