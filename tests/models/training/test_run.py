"""A run from a config and photographs to weights, by the command and by `run_training`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from models.training.run import Data, run_training
from models.training.trainer import Trainer
from tests.models.training.test_trainer import TINY, having

ROOT = Path(__file__).parents[3]


class Recorder:
    """Keeps what a run reports."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, bool, int]] = []
        self.counts: list[int] = []
        self.facts: list[dict[str, Any]] = []

    def started(self, trainer: Trainer, resumed: bool, photographs: int) -> None:
        self.starts.append((trainer.step, resumed, photographs))

    def read(self, count: int) -> None:
        self.counts.append(count)

    def report(self, facts: dict[str, Any]) -> None:
        self.facts.append(facts)


def test_a_second_run_resumes_and_the_observer_follows(folder: Path, tmp_path: Path) -> None:
    output, recorder = tmp_path / "run", Recorder()
    for steps in (3, 5):
        config = having(steps=steps, validation_images=1)
        trainer = run_training(config, Data([folder]), output, observer=recorder)
        assert trainer.step == steps
    photographs = recorder.starts[0][2]
    assert recorder.starts == [(0, False, photographs), (3, True, photographs)]
    assert recorder.counts[-1] == photographs > 0
    lines = (output / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == recorder.facts


def test_a_resumed_run_does_not_start_from_other_weights(folder: Path, tmp_path: Path) -> None:
    config = having(steps=2, validation_images=0)
    small = run_training(config, Data([folder]), tmp_path / "small").output / "weights.safetensors"
    trainer = run_training(
        config, Data([folder]), tmp_path / "small", grow_from=tmp_path / "missing.safetensors"
    )
    assert trainer.step == 2
    grown = run_training(config, Data([folder]), tmp_path / "large", stop_at=0.0, grow_from=small)
    first = load_file(small)
    assert all((tensor == first[name]).all() for name, tensor in grown.average.state_dict().items())


def test_a_config_that_does_not_fit_its_network_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="head_first needs an encoder and a head"):
        run_training(having(head_first=0.5), Data([folder]), tmp_path / "run")
    assert TINY.training.head_first == 0


def test_training_needs_only_torch_numpy_pillow_and_safetensors(
    folder: Path, tmp_path: Path
) -> None:
    blocker = (
        "import sys\n"
        "for name in ('fastapi', 'pydantic', 'redis', 'onnx', 'onnxruntime', 'rich', 'typer',\n"
        "             'skimage', 'scipy', 'prometheus_client', 'httpx'):\n"
        "    sys.modules[name] = None\n"
        "from models.training.run import main\n"
        "main(sys.argv[1:])\n"
    )
    config = tmp_path / "tiny.toml"
    config.write_text(
        '[network]\nname = "conditioned"\n'
        "args = { channels = 8, blocks = 1, basis = 3, widths = [4, 8] }\n"
        "[sampling]\nbatch = 1\npatch = 16\n"
        "[training]\nsteps = 100\nvalidation_images = 1\nvalidate_every = 100\n"
    )
    output = tmp_path / "run"
    command = [sys.executable, "-c", blocker, str(config), "--data", str(folder)]
    command += ["--output", str(output), "--device", "cpu", "--threads", "1", "--minutes", "9"]
    command += ["--validation", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert any("psnr" in f for f in facts)
    assert (output / "weights.safetensors").exists()
