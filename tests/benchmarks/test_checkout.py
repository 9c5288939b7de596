"""Files outside the packages are found in a checkout, and reported as missing elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.checkout import ROOT, CheckoutMissing, checkout


def test_files_of_the_repository_are_found() -> None:
    assert checkout("deploy", "prometheus", "prometheus.yml").is_file()


def test_the_error_names_a_missing_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CheckoutMissing, match=r"needs deploy/prometheus .* Clone the"):
        checkout("deploy", "prometheus", root=tmp_path)


@pytest.mark.parametrize("options", [[], ["--compose"]])
def test_the_alerts_require_a_checkout(options: list[str], tmp_path: Path) -> None:
    """Run from a copy of the packages alone, as a wheel installs them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    find = project["tool"]["setuptools"]["packages"]["find"]
    for place in (ROOT / where for where in find["where"]):
        for name in (pattern.rstrip("*") for pattern in find["include"]):
            if (place / name).is_dir():
                ignored = shutil.ignore_patterns("artifacts")
                shutil.copytree(place / name, tmp_path / name, ignore=ignored)
    catalog = Path("models", "artifacts", "catalog.json")
    (tmp_path / catalog).parent.mkdir()
    shutil.copyfile(ROOT / catalog, tmp_path / catalog)
    command = [sys.executable, "-P", "-m", "cli.main", "bench", "alerts", *options]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(tmp_path), "COLUMNS": "200"}, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.search(r"needs deploy/prometheus of the repository", done.stderr), done.stderr
