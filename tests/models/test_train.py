"""Training: the loss falls, a cut-off run resumes to the bit, and torch is all it needs."""

import dataclasses
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import l1_loss

from models.architectures.registry import NetworkSpec
from models.photographs import Photographs, Sampling, list_images
from models.train import (
    Config,
    Trainer,
    Training,
    learning_rate,
    split_validation,
    training_files,
    upscale,
)

ROOT = Path(__file__).parents[2]
TINY = Config(
    NetworkSpec("elastic", {"channels": 8, "blocks": 2, "basis": 3, "widths": [4, 8]}),
    Training(steps=40, warmup_steps=4, checkpoint_every=5, validate_every=1000, learning_rate=3e-3),
    Sampling(batch=2, patch=16),
)


def smooth_picture(seed, side=200):
    """A picture with edges and gradients, which a network can learn from."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.NEAREST).rotate(17 * seed)


@pytest.fixture
def folder(tmp_path):
    for seed in range(4):
        smooth_picture(seed).save(tmp_path / f"{seed}.png")
    return tmp_path


@pytest.fixture
def photographs(folder):
    return Photographs(list_images([folder]))


def test_the_loss_falls(photographs, tmp_path):
    small, target = photographs.draw(Sampling(batch=8, patch=24), torch.Generator().manual_seed(99))
    trainer = Trainer(TINY, tmp_path / "run")

    def loss():
        return float(l1_loss(upscale(trainer.network, small, target.shape[2:], 8), target).detach())

    before = loss()
    for _ in range(40):
        trainer.train_step(photographs)
    assert loss() < 0.9 * before


def test_a_run_cut_off_at_any_moment_resumes_to_the_bit(photographs, tmp_path):
    whole = Trainer(TINY, tmp_path / "whole")
    for _ in range(12):
        whole.train_step(photographs)
    whole.save()
    cut = Trainer(TINY, tmp_path / "cut")
    for _ in range(5):
        cut.train_step(photographs)
    cut.save()
    for _ in range(2):  # steps that were done after the last checkpoint and lost
        cut.train_step(photographs)
    resumed = Trainer(TINY, tmp_path / "cut")
    assert resumed.resume()
    assert resumed.step == 5
    while resumed.step < 12:
        resumed.train_step(photographs)
    resumed.save()
    for name in ("weights.safetensors", "state.safetensors"):
        a, b = load_file(tmp_path / "whole" / name), load_file(tmp_path / "cut" / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)


def test_there_is_nothing_to_resume_at_first(tmp_path):
    assert not Trainer(TINY, tmp_path / "new").resume()


def test_a_run_reports_validates_and_writes_weights_that_can_be_loaded(folder, tmp_path):
    config = dataclasses.replace(
        TINY, training=dataclasses.replace(TINY.training, steps=100, validate_every=50)
    )
    files, held = training_files([folder], 1)
    assert len(held) == 1
    assert held[0] not in files
    reports: list[dict[str, Any]] = []
    trainer = Trainer(config, tmp_path / "run")
    trainer.run(Photographs(files), held, report=reports.append)
    assert trainer.step == 100
    assert {r["step"] for r in reports if "psnr" in r} == {50, 100}
    assert set(reports[-1]["psnr"]) == {"x2@4", "x2@8", "x3@4", "x3@8", "x4@4", "x4@8"}
    assert any("steps_per_s" in r for r in reports)


def test_every_width_is_drawn_and_the_full_one_most(tmp_path):
    trainer = Trainer(TINY, tmp_path / "run")
    drawn = [trainer._draw_width(torch.Generator().manual_seed(i)) for i in range(300)]
    assert set(drawn) == {4, 8}
    assert 0.3 < drawn.count(8) / 300 < 0.5


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    training = Training(steps=1000, learning_rate=1.0, warmup_steps=10, cooldown=0.25)
    rates = [learning_rate(training, step) for step in range(1001)]
    assert rates[0] == 0.1
    assert set(rates[9:751]) == {1.0}
    assert rates[1000] == 0
    assert all(a >= b for a, b in pairwise(rates[750:]))


def test_validation_images_are_spread_and_never_trained_on():
    files = [Path(f"{i:02}.png") for i in range(20)]
    train, held = split_validation(files, 4)
    assert held == [files[0], files[5], files[10], files[15]]
    assert sorted(train + held) == files


@pytest.mark.parametrize("name", ["anysr-s", "anysr-m"])
def test_the_shipped_configs_build(name):
    config = Config.read(ROOT / "models" / "configs" / f"{name}.toml")
    assert len(config.network.build().widths) >= 4


def test_a_misspelt_setting_is_refused(tmp_path):
    text = (ROOT / "models" / "configs" / "anysr-s.toml").read_text()
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace("warmup_steps", "warm_up"))
    with pytest.raises(TypeError, match="warm_up"):
        Config.read(path)


def test_training_needs_only_torch_numpy_pillow_and_safetensors(folder, tmp_path):
    blocker = (
        "import sys\n"
        "for name in ('fastapi', 'pydantic', 'redis', 'onnx', 'onnxruntime', 'rich', 'typer',\n"
        "             'skimage', 'scipy', 'prometheus_client', 'httpx'):\n"
        "    sys.modules[name] = None\n"
        "from models.train import main\n"
        "main(sys.argv[1:])\n"
    )
    config = tmp_path / "tiny.toml"
    config.write_text(
        '[network]\nname = "elastic"\n'
        "args = { channels = 8, blocks = 1, basis = 3, widths = [4, 8] }\n"
        "[sampling]\nbatch = 1\npatch = 16\n"
        "[training]\nsteps = 100\nvalidation_images = 1\nvalidate_every = 100\n"
    )
    output = tmp_path / "run"
    command = [sys.executable, "-c", blocker, str(config), "--data", str(folder)]
    command += ["--output", str(output), "--device", "cpu", "--threads", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"psnr"' in (output / "log.jsonl").read_text()
    assert (output / "weights.safetensors").exists()
