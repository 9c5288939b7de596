"""Train on a GPU for a few minutes, and go on in a later call: `python -m benchmarks.gpu.train`.

One call checks the machine, tries each way to run the trunk for some seconds, trains with the
fastest until its minutes are over, and leaves a checkpoint in pieces that a next call goes on
from. `--check` spends the last minute on the tests that need CUDA and on what TorchScript takes
there. It needs what training needs: torch, numpy, pillow and safetensors; `--check` pytest too.

    python -m benchmarks.gpu.train anysr-m-gpu --data FOLDER --output RUN --minutes 9 --later 2
    python -m benchmarks.gpu.train anysr-m-gpu --data FOLDER --output RUN --minutes 3 --check

The steps are as many as fit into the minutes, those of later calls (`--later`) included, so that
the learning rate has fallen when they are over. Several runs may share a GPU: each has gaps that
the others fill.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.architectures.network import grid_for
from models.checkpoint import load_network
from models.config import COMPILERS, Config
from models.geometry import axis_grid
from models.photographs import Photographs, training_files
from models.pieces import read_facts
from models.train import Trainer

CONFIGS = Path(__file__).parents[2] / "models" / "configs"
PROBE_S = 5.0
"""For how long each way is tried, its compilation included."""
CHECK_S = 60.0
CUDA_TESTS = ["-c", os.devnull, "--confcutdir", "tests/models", "-k", "cuda", "-q", "tests/models"]
"""Without the settings and fixtures of the other rooms, which need more than training does."""
TIMED_SIDE, TIMED_RUNS = 256, 20


def environment(device: torch.device) -> dict[str, Any]:
    """Return what the run will be done with; SystemExit says what is missing."""
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} sees no CUDA device; check nvidia-smi.")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"torch": torch.__version__, "device": name, "cuda": torch.version.cuda}


def planned_steps(output: Path) -> int | None:
    """Return how many steps the run in a folder was to have; None where there is none."""
    facts = read_facts(output)
    return int(facts["config"]["training"]["steps"]) if facts else None


def fastest_compiler(config: Config, photographs: Photographs, device: torch.device) -> str:
    """Return the way to run the trunk that does most steps in `PROBE_S`; those that fail are
    told and left out."""
    done: dict[str, int] = {}
    for compiler in COMPILERS if device.type == "cuda" else ("off",):
        try:
            done[compiler] = _steps_in(PROBE_S, config, compiler, photographs, device)
        except (RuntimeError, OSError) as error:
            _tell({"compile": compiler, "failed": str(error).splitlines()[0]})
    if not done:
        raise SystemExit("No way to run the trunk works here; the lines above say why.")
    _tell({"steps_in_probe": done})
    return max(done, key=lambda compiler: done[compiler])


def _steps_in(
    seconds: float, config: Config, compiler: str, photographs: Photographs, device: torch.device
) -> int:
    config = replace(config, training=replace(config.training, compile=compiler))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder), device)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            step = trainer.train_step(photographs)
            float(step.loss)  # waits for the device, so that the clock is right
        return trainer.step


def time_torchscript(weights: Path, device: torch.device) -> dict[str, float]:
    """Return the milliseconds of the whole network as TorchScript, by width, at x2."""
    _, network = load_network(weights)
    with warnings.catch_warnings():  # torch calls TorchScript deprecated; it is what is served
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.script(network.to(device))
    grid = axis_grid(TIMED_SIDE, 2 * TIMED_SIDE)
    tensors = grid_for(network, grid, grid, device)
    image = torch.rand(1, 3, TIMED_SIDE, TIMED_SIDE, device=device)
    found = {}
    with torch.inference_mode():
        for channels in network.widths:
            for _ in range(3):
                script(image, *tensors, channels)
            _wait(device)
            since = time.perf_counter()
            for _ in range(TIMED_RUNS):
                script(image, *tensors, channels)
            _wait(device)
            spent = (time.perf_counter() - since) / TIMED_RUNS
            found[f"{channels}"] = round(1e3 * spent, 2)
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _tell(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, probe, train, and check again."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", help="a name in models/configs, such as anysr-m-gpu, or a file")
    parser.add_argument("--data", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--output", type=Path, required=True, help="resumed if it has a checkpoint")
    parser.add_argument("--grow-from", type=Path, help="weights of a smaller trained network")
    parser.add_argument("--minutes", type=float, required=True, help="of the whole call")
    parser.add_argument("--later", type=float, default=0.0, help="minutes of a next call")
    parser.add_argument("--steps", type=int, help="so many, instead of as many as fit")
    parser.add_argument("--compile", choices=COMPILERS, help="instead of trying each")
    parser.add_argument("--validation", type=Path, help="by default the first of --data")
    parser.add_argument("--check", action="store_true", help="end with tests and timings")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    stop_at = started + 60 * options.minutes - (CHECK_S if options.check else 0)
    _tell(environment(device))
    path = Path(options.config)
    config = Config.read(path if path.suffix else CONFIGS / f"{path}.toml")
    count = config.training.validation_images
    files, held = training_files(options.data, count, options.validation)
    photographs = Photographs(files, device, config.crop_side, stop_at)
    compiler = options.compile or fastest_compiler(config, photographs, device)
    steps = options.steps or planned_steps(options.output) or config.training.steps
    config = replace(config, training=replace(config.training, compile=compiler, steps=steps))
    trainer = Trainer(config, options.output, device)
    if not trainer.resume() and options.grow_from:
        trainer.grow_from(options.grow_from)
    fit_to = None if options.steps else stop_at + 60 * options.later
    trainer.run(photographs, held, stop_at, _tell, fit_to)
    torch.backends.cudnn.benchmark = False  # every shape of the validation comes once
    planned = trainer.config.training.steps
    _tell({"step": trainer.step, "of": planned, "psnr": trainer.validate(held[:2])})
    if options.check:
        _tell({"torchscript_ms": time_torchscript(options.output / "weights.safetensors", device)})
        subprocess.run([sys.executable, "-m", "pytest", *CUDA_TESTS], check=False, timeout=CHECK_S)


if __name__ == "__main__":
    main()
