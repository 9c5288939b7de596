"""CONTRIBUTING names files that exist, and all places of a change."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from models.catalog import read_catalog
from tests.support import photographs as module

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def step(name: str) -> str:
    """Return the list item of a kind of change."""
    found = re.search(rf"^- \*\*{name}\*\*:.*?(?=^- |\n\n)", TEXT, re.M | re.S)
    assert found is not None
    return found[0]


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:[\w.]+/)+[\w.-]*)`", TEXT)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == [
        "data/bench"  # beside the checkout
    ]


def test_only_the_zoo_lists_networks_without_weights() -> None:
    name = sorted(read_catalog().untrained)[0]
    listing = [path for path in (ROOT / "models").rglob("*.json") if name in path.read_text()]
    assert listing == []
    assert "`models/zoo.py`" in step("A network")


@pytest.mark.parametrize("given", [None, "/elsewhere"])
def test_photographs_beside_the_checkout_are_found_by_make(
    tmp_path: Path, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, beside = tmp_path / "checkout", tmp_path / "other" / "data" / "bench"
    (beside / "Set5").mkdir(parents=True)
    checkout.mkdir()
    shutil.copyfile(ROOT / "Makefile", checkout / "Makefile")
    if given is None:
        monkeypatch.delenv(module.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(module.VARIABLE, given)
    show = f"show: ; @echo ${module.VARIABLE}".replace("$", "$$")
    command = ["make", "--silent", f"--eval={show}", "show"]
    found = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).resolve() == Path(given or beside).resolve()


def test_missing_photographs_skip_and_a_wrong_folder_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(module.VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match=module.VARIABLE):
        module.shared_data("Set5")
    monkeypatch.setenv(module.VARIABLE, str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="no folder Set5"):
        module.shared_data("Set5")
    (tmp_path / "Set5").mkdir()
    assert module.shared_data("Set5") == tmp_path / "Set5"
