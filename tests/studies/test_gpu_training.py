"""The training for a few minutes on a GPU, run on a CPU: it compares, trains, and resumes."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.training.config import Config
from models.training.cuda_graphs import Replays
from models.training.dataset import Photographs, list_images
from studies.gpu import train as gpu
from studies.gpu import ways

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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in {"BEFORE": 4, "COMPARED": 3, "TIMED_S": 0.1, "AT_ONCE": 2}.items():
        monkeypatch.setattr(ways, name, value)


def call(folder, capsys, steps, *more):
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "100"))
    options = ["--data", str(folder / "data"), "--output", str(folder / "run"), "--device", "cpu"]
    options += ["--minutes", "30", "--steps", str(steps), *more]
    gpu.main([str(folder / "config.toml"), *options])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_second_call_resumes_where_the_first_ended(folder, capsys):
    first, second = call(folder, capsys, 3), call(folder, capsys, 5)
    assert first[0]["device"] == "CPU"
    assert first[1]["way"] == "off"
    assert first[1]["steps_per_s"] > 0
    assert first[1]["tflop_per_s"] > 0
    assert first[2] == {"photographs": 2, "compile": "off"}
    assert [first[-1]["step"], second[3]["step"], second[-1]["step"]] == [3, 3, 5]
    log = (folder / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in log] == first + second


def test_ways_are_compared_with_the_plain_one(folder, capsys):
    reported = call(folder, capsys, 3, "--compile", "off", "--compile", "graphs")
    plain, padded = reported[1:3]
    assert (plain["way"], padded["way"]) == ("off", "graphs")
    assert padded["loss_apart"] < 1e-4
    assert padded["moved_apart"] < 1e-3
    assert padded["agrees"]


def way(name="graphs", losses=(1.0, 2.0), moved=1.0, steps_per_s=1.0):
    return ways.Way(name, losses, moved, 0.0, steps_per_s, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        (way(losses=(1.01, 2.0), moved=1.1), True),
        (way(losses=(1.1, 2.0)), False),
        (way(losses=(float("nan"), 2.0)), False),
        (way(moved=0.0), False),  # a graph that updates nothing
    ],
)
def test_a_way_agrees_in_its_losses_and_in_how_far_it_moves(other, agrees):
    assert ways.agree(ways.apart(other, way("off"))) == agrees


def test_the_fastest_way_that_works_and_agrees_is_chosen(monkeypatch):
    found = {
        "off": way("off"),
        "graphs": way(steps_per_s=3.0),
        "inductor": way("inductor", losses=(2.0, 4.0), steps_per_s=9.0),
    }

    def try_way(_config, name, _photographs, _device):
        return found[name]  # a KeyError for the fourth: compilers raise any exception

    monkeypatch.setattr(gpu, "try_way", try_way)
    reported: list[dict[str, Any]] = []
    nothing: Any = None

    def fastest(*names):
        return gpu.fastest_way(names, nothing, nothing, torch.device("cpu"), reported.append)

    assert fastest(*found, "inductor+graphs") == "graphs"
    assert [facts.get("agrees") for facts in reported] == [True, True, False, None]
    assert "inductor+graphs" in reported[-1]["failed"]
    with pytest.raises(SystemExit, match="No way"):
        fastest("none")


def test_a_way_that_could_not_be_captured_does_not_work(folder, monkeypatch):
    class Failed(Replays):
        def __init__(self, device):
            super().__init__(device)
            self.failure = "no"

    monkeypatch.setattr("models.training.trainer.Replays", Failed)
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "100"))
    config = Config.read(folder / "config.toml")
    photographs = Photographs(list_images([folder / "data"]), minimum=config.crop_side)
    with pytest.raises(RuntimeError, match="not captured: no"):
        ways.try_way(config, "graphs", photographs, torch.device("cpu"))


def test_a_run_resumes_from_a_checkpoint_in_another_folder(folder, capsys, monkeypatch):
    call(folder, capsys, 3, "--compile", "off")
    monkeypatch.setenv("OUT", str(folder / "out"))
    options = ["--data", str(folder / "data"), "--device", "cpu", "--minutes", "30"]
    options += ["--steps", "5", "--compile", "off", "--start-from", str(folder / "run")]
    gpu.main([str(folder / "config.toml"), *options])
    reported = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [reported[2]["step"], reported[-1]["step"]] == [3, 5]
    assert (folder / "out" / "config" / "state.json").exists()
    monkeypatch.delenv("OUT")
    assert gpu.default_output(gpu.CONFIGS / "anysr-m-gpu.toml").as_posix() == "runs/anysr-m-gpu"


def test_the_number_of_steps_includes_those_of_later_calls(folder, monkeypatch):
    planned = []

    def run(trainer, _photographs, _held, stop_at, _report, fit_to):
        planned.append((trainer.config.training.steps, fit_to - stop_at))
        trainer.step = 7
        trainer.save()

    monkeypatch.setattr("models.training.trainer.Trainer.run", run)
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "100"))
    options = ["--data", str(folder / "data"), "--output", str(folder / "run"), "--device", "cpu"]
    options += ["--minutes", "30", "--compile", "off"]
    gpu.main([str(folder / "config.toml"), *options, "--later", "2"])
    (folder / "config.toml").write_text(CONFIG.replace("STEPS", "5"))
    gpu.main([str(folder / "config.toml"), *options])
    assert planned == [(100, 120.0), (100, 0.0)]  # the second follows the plan of the first


def test_way_and_validation_can_be_named(folder, capsys):
    (folder / "held").mkdir()
    (folder / "held" / "0.png").write_bytes((folder / "data" / "0.png").read_bytes())
    more = "--compile", "off", "--validation", str(folder / "held")
    reported = call(folder, capsys, 4, *more)
    assert not any("way" in facts for facts in reported)
    assert (reported[-1]["step"], reported[-1]["of"]) == (4, 4)


def test_every_width_is_timed_as_torchscript(folder, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "TIMED_SIDE", 16)
    call(folder, capsys, 1)
    times = gpu.time_torchscript(folder / "run" / "weights.safetensors", torch.device("cpu"))
    assert list(times) == ["4", "8"]
    assert all(milliseconds > 0 for milliseconds in times.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_error_names_the_missing_device():
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu.environment(torch.device("cuda"))
