"""The script for a GPU at hand for minutes, run on a CPU: it probes, trains, and goes on."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu import train as gpu

CONFIG = """
[network]
name = "conditioned"
args = { channels = 8, blocks = 1, basis = 3, widths = [4, 8] }

[sampling]
batch = 2
patch = 8

[training]
steps = STEPS
validation_images = 1
"""


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(1)
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        pixels = random.integers(0, 256, (80, 80, 3), np.uint8)
        Image.fromarray(pixels).save(data / f"{number}.png")
    return tmp_path


def call(folder, capsys, steps, *more):
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "100"))
    options = ["--data", str(folder / "data"), "--output", str(folder / "run"), "--device", "cpu"]
    options += ["--minutes", "30", "--steps", str(steps), *more]
    gpu.main([str(folder / "config.toml"), *options])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_second_call_goes_on_where_the_first_ended(folder, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "PROBE_S", 0.2)
    first, second = call(folder, capsys, 3), call(folder, capsys, 5)
    assert first[0]["device"] == "CPU"
    assert first[1]["steps_in_probe"]["off"] > 0
    assert [first[-1]["step"], second[2]["step"], second[-1]["step"]] == [3, 3, 5]


def test_the_steps_are_as_many_as_fit_those_of_a_later_call_included(folder, monkeypatch):
    planned = []

    def run(trainer, _photographs, _held, stop_at, _report, fit_to):
        planned.append((trainer.config.training.steps, fit_to - stop_at))
        trainer.step = 7
        trainer.save()

    monkeypatch.setattr("models.train.Trainer.run", run)
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "100"))
    options = ["--data", str(folder / "data"), "--output", str(folder / "run"), "--device", "cpu"]
    options += ["--minutes", "30", "--compile", "off"]
    gpu.main([str(folder / "config.toml"), *options, "--later", "2"])
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "5"))
    gpu.main([str(folder / "config.toml"), *options])
    assert planned == [(100, 120.0), (100, 0.0)]  # the second goes by what the first had planned


def test_the_way_to_run_and_the_validation_can_be_named(folder, capsys):
    (folder / "held").mkdir()
    (folder / "held" / "0.png").write_bytes((folder / "data" / "0.png").read_bytes())
    more = "--compile", "off", "--validation", str(folder / "held")
    told = call(folder, capsys, 4, *more)
    assert not any("steps_in_probe" in facts for facts in told)
    assert (told[-1]["step"], told[-1]["of"]) == (4, 4)


def test_every_width_is_timed_as_torchscript(folder, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "PROBE_S", 0.1)
    monkeypatch.setattr(gpu, "TIMED_SIDE", 16)
    call(folder, capsys, 1)
    times = gpu.time_torchscript(folder / "run" / "weights.safetensors", torch.device("cpu"))
    assert list(times) == ["4", "8"]
    assert all(milliseconds > 0 for milliseconds in times.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so():
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu.environment(torch.device("cuda"))
