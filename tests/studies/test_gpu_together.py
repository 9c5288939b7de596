"""Several runs that outlive the call which starts them, and photographs packed for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from studies.gpu import pack, together
from tests.studies.test_gpu_training import CONFIG
from tests.support.waiting import PATIENCE_S


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        pixels = random.integers(0, 256, (96, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_a_second_call_collects_what_the_first_one_started(
    tmp_path: Path,
    photographs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "POLL_S", 0.1)
    for name in ("one", "other"):
        (tmp_path / f"{name}.toml").write_text(CONFIG.replace("STEPS", "3"))
    call = [f"{tmp_path / 'one.toml'}:0.2", f"{tmp_path / 'other.toml'}:0.01"]
    call += ["--data", str(photographs), "--output", str(tmp_path / "runs"), "--device", "cpu"]
    held = tmp_path / "held"
    held.mkdir()
    Image.new("RGB", (96, 80), "teal").save(held / "0.png")
    call += ["--validation", str(held), "--compile", "off"]
    call += ["--results", str(tmp_path / "results"), "--wait"]
    together.main([*call, "0"])
    (held / "0.png").unlink()  # the next call on a lent machine may bring other files
    assert capsys.readouterr().out.count("goes on") == 2
    together.main([*call, str(PATIENCE_S / 60)])
    said = capsys.readouterr().out
    assert "one: ended with status 0" in said
    log = (tmp_path / "results/one/log.jsonl").read_text()
    assert '"psnr"' in log
    with safe_open(tmp_path / "results/one/weights.safetensors", "pt") as weights:
        kinds = {weights.get_tensor(name).dtype for name in weights.keys()}  # noqa: SIM118
    assert kinds == {torch.float16}
    assert (tmp_path / "results/other/output.txt").exists()


def test_a_run_that_fails_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "POLL_S", 0.1)
    call = ["missing:1", "--data", str(tmp_path), "--output", str(tmp_path / "runs")]
    together.main([*call, "--device", "cpu", "--wait", str(PATIENCE_S / 60)])
    assert "missing: ended with status 1" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["anysr-m-gpu", "anysr-m-gpu:long"])
def test_a_run_without_minutes_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        together.arguments_of([text, "--data", "D"])


def test_photographs_fit_after_packing(
    tmp_path: Path, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "pack"
    arguments = ["--data", str(photographs), "--output", str(output), "--shrink", "2"]
    pack.main([*arguments, "--megabytes", "0.02", "--held", "1"])
    files = sorted(output.rglob("*.jpg"))
    assert [file.parent.name for file in files] == ["held", "train", "train", "train"]
    assert sum(file.stat().st_size for file in files) <= 0.02e6
    with Image.open(files[0]) as image:
        assert image.size == (40, 48)
    assert "4 photographs at quality" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="do not fit"):
        pack.main([*arguments, "--megabytes", "0.001"])
