"""Results of parallel evaluations reach catalog and card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.catalog import SHIPPED, read_catalog
from studies.gpu import evaluate, record

NAME = "anysr-xs"


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    folder = tmp_path / "sets" / "Set5"
    folder.mkdir(parents=True)
    ramp = np.add.outer(np.arange(64), 2 * np.arange(72)).astype(np.uint8)
    Image.fromarray(np.stack([ramp, ramp.T[:64, :64].repeat(2, 1)[:, :72], 255 - ramp], -1)).save(
        folder / "ramp.png"
    )
    return tmp_path / "sets"


def test_what_was_measured_is_recorded(tmp_path: Path, sets: Path) -> None:
    results, models = tmp_path / "results", tmp_path / "models"
    call = [str(SHIPPED / f"{NAME}.safetensors"), "--sets", str(sets), "--results", str(results)]
    evaluate.main([*call, "--widths", "1", "--only", "Set5", "--device", "cpu"])
    (file,) = results.iterdir()
    measured = json.loads(file.read_text())["results"]["1"]
    assert [row["scale"] for row in measured] == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 6.0, 8.0]
    models.mkdir()
    for name in ("catalog.json", f"{NAME}.md"):
        shutil.copyfile(SHIPPED / name, models / name)
    record.main([str(results), "--name", NAME, "--models", str(models)])
    recorded = [q for q in read_catalog(models).get(NAME).quality if q.dataset == "Set5"]
    assert {q.scale: q.psnr_y for q in recorded} == {
        row["scale"]: round(row["psnr_y"], 3) for row in measured
    }
    assert (
        f"{measured[1]['psnr_y']:.2f} / {measured[1]['ssim']:.4f}"
        in (models / f"{NAME}.md").read_text()
    )


def test_an_evaluation_that_fails_is_named(tmp_path: Path, sets: Path) -> None:
    call = [str(tmp_path / "missing.safetensors"), "--sets", str(sets)]
    call += ["--results", str(tmp_path / "results"), "--widths", "1", "--only", "Set5"]
    with pytest.raises(SystemExit, match="failed: missing-Set5-1"):
        evaluate.main([*call, "--device", "cpu"])


def test_results_of_another_network_are_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no results of anysr-l"):
        record.main([str(tmp_path), "--name", "anysr-l"])
