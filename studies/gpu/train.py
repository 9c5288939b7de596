"""Training for a few minutes on a GPU, with the fastest correct way to run a step; resumable.

One call checks the machine, times each way to run a step and compares it with the plain one
(`studies.gpu.ways`), trains with the fastest that agrees until its minutes are over, validates, and
writes a checkpoint in pieces, from which the next call continues. It measures steps and TFLOP per
second of each way, and PSNR. `--check` compares even where `--compile` names one way, and uses the
last minute for the tests that need CUDA and for the time of TorchScript. Training needs torch,
numpy, pillow and safetensors; `--check` also needs pytest.

Without `--output` the output folder is named after the config, in $OUT, or in runs/ where that is
not set. `--start-from FOLDER` copies a checkpoint to an output that has none. All printed lines are
appended to log.jsonl there; the last one is the result.

The number of steps is what fits into the minutes, including those of later calls (`--later`), so
that the learning rate has fallen to zero at the end.

Figures: docs/training.md.
Run: python -m studies.gpu.train anysr-m-gpu --data FOLDER --output RUN --minutes 9 --later 2
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.architectures.network import grid_for
from models.geometry import axis_grid
from models.network_file import load_network
from models.training.config import COMPILERS, Config
from models.training.dataset import Photographs, training_files
from models.training.trainer import Trainer
from models.training.training_state import read_facts
from studies.arguments import parser_of
from studies.gpu.ways import PLAIN, Way, agree, apart, try_way

CONFIGS = Path(__file__).parents[2] / "models" / "configs"
WAYS = (PLAIN, "graphs", "inductor+graphs")
"""Values of `COMPILERS` that are tried on a GPU. On a CPU only the plain one is."""
CHECK_S = 60.0
CUDA_TESTS = ["-c", os.devnull, "--confcutdir", "tests/models", "-k", "cuda", "-q", "tests/models"]
"""Without settings and fixtures of the other rooms, which need more packages than training."""
TIMED_SIDE, TIMED_RUNS = 256, 20

Report = Callable[[dict[str, Any]], None]


def environment(device: torch.device) -> dict[str, Any]:
    """Return the versions and the device of the run. Raises SystemExit where no CUDA device is."""
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} sees no CUDA device; check nvidia-smi.")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"torch": torch.__version__, "device": name, "cuda": torch.version.cuda}


def planned_steps(output: Path) -> int | None:
    """Return the planned number of steps of the run in a folder; None without a run."""
    facts = read_facts(output)
    return int(facts["config"]["training"]["steps"]) if facts else None


def fastest_way(
    names: Sequence[str],
    config: Config,
    photographs: Photographs,
    device: torch.device,
    report: Report,
) -> str:
    """Try ways to run a step, the plain one first. Return the one with the most steps per second
    among those that work and agree with the plain one. Raises SystemExit where none works."""
    plain: Way | None = None
    good: list[Way] = []
    for name in names:
        try:
            way = try_way(config, name, photographs, device)
        except Exception as error:  # compilers raise any exception; other ways may work
            report({"way": name, "failed": (str(error).splitlines() or [repr(error)])[0]})
            continue
        plain = way if name == PLAIN else plain
        differences = apart(way, plain) if plain else {}
        agrees = plain is None or agree(differences)
        report({**way.facts(), **differences, "agrees": agrees})
        if agrees:
            good.append(way)
    if not good:
        raise SystemExit("No way to run a step works here; the lines above say why.")
    return max(good, key=lambda way: way.steps_per_s).name


def time_torchscript(weights: Path, device: torch.device) -> dict[str, float]:
    """Return the ms of the whole network as TorchScript at x2, by number of inner channels."""
    _, network = load_network(weights)
    with warnings.catch_warnings():  # workers run TorchScript, which torch calls deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.script(network.to(device))
    axis = axis_grid(TIMED_SIDE, 2 * TIMED_SIDE)
    grid = grid_for(network, axis, axis, device)
    image = torch.rand(1, 3, TIMED_SIDE, TIMED_SIDE, device=device)
    found = {}
    with torch.inference_mode():
        for channels in network.widths:
            for _ in range(3):
                script(image, grid, channels)
            _wait(device)
            since = time.perf_counter()
            for _ in range(TIMED_RUNS):
                script(image, grid, channels)
            _wait(device)
            spent = (time.perf_counter() - since) / TIMED_RUNS
            found[f"{channels}"] = round(1e3 * spent, 2)
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reporter(output: Path) -> Report:
    """Return a function that prints facts as a line of JSON and appends it to the run's log."""
    output.mkdir(parents=True, exist_ok=True)

    def report(facts: dict[str, Any]) -> None:
        line = json.dumps(facts)
        print(line, flush=True)
        with (output / "log.jsonl").open("a") as log:
            log.write(line + "\n")

    return report


def default_output(config: Path) -> Path:
    """Return the output folder of a run without `--output`."""
    return Path(os.environ.get("OUT") or "runs") / config.stem


def start_from(folder: Path, output: Path) -> None:
    """Copy a checkpoint to an output folder that has none."""
    if not read_facts(output):
        shutil.copytree(folder, output, dirs_exist_ok=True, copy_function=shutil.copyfile)


def check(weights: Path, device: torch.device, report: Report) -> None:
    """Time TorchScript and run the tests that need CUDA, within `CHECK_S`."""
    report({"torchscript_ms": time_torchscript(weights, device)})
    try:
        subprocess.run([sys.executable, "-m", "pytest", *CUDA_TESTS], check=False, timeout=CHECK_S)
    except subprocess.TimeoutExpired:
        report({"tests": f"not finished after {CHECK_S:g} s"})


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line, with `config` and `output` as paths."""
    parser = parser_of("studies.gpu.train", __doc__)
    add = parser.add_argument
    add("config", help="name in models/configs, such as anysr-m-gpu, or a file")
    add("--data", type=Path, action="append", required=True, help="photographs; repeatable")
    add("--output", type=Path, help="output folder; resumed if it has a checkpoint")
    add("--start-from", type=Path, help="folder with a checkpoint for an output without one")
    add("--grow-from", type=Path, help="weights of a smaller trained network to start from")
    add("--minutes", type=float, required=True, help="length of the whole call")
    add("--later", type=float, default=0.0, help="minutes of later calls")
    add("--steps", type=int, help="number of steps; default: as many as fit")
    add("--compile", choices=COMPILERS, action="append", help="way to try; repeatable")
    add("--validation", type=Path, help="held-out photographs; default: the first of --data")
    add("--check", action="store_true", help="compare ways, and end with tests and timings")
    add("--device", default="cuda")
    options = parser.parse_args(arguments)
    path = Path(options.config)
    options.config = path if path.suffix else CONFIGS / f"{path}.toml"
    options.output = options.output or default_output(options.config)
    return options


def chosen_way(
    options: argparse.Namespace, config: Config, photographs: Photographs, report: Report
) -> str:
    """Return the only named way, or the fastest of those to try."""
    device = torch.device(options.device)
    names: list[str] = options.compile or (list(WAYS) if device.type == "cuda" else [PLAIN])
    if options.compile and len(names) == 1 and not options.check:
        return names[0]
    return fastest_way(list(dict.fromkeys([PLAIN, *names])), config, photographs, device, report)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the machine, compare the ways, train, and validate."""
    started = time.monotonic()
    options = arguments_of(arguments)
    device = torch.device(options.device)
    stop_at = started + 60 * options.minutes - (CHECK_S if options.check else 0)
    report = reporter(options.output)
    report(environment(device))
    config = Config.read(options.config)
    count = config.training.validation_images
    files, held = training_files(options.data, count, options.validation)
    photographs = Photographs(files, device, config.crop_side, stop_at)
    if options.start_from:
        start_from(options.start_from, options.output)
    way = chosen_way(options, config, photographs, report)
    report({"photographs": len(photographs), "compile": way})
    steps = options.steps or planned_steps(options.output) or config.training.steps
    config = replace(config, training=replace(config.training, compile=way, steps=steps))
    trainer = Trainer(config, options.output, device)
    if not trainer.resume() and options.grow_from:
        trainer.grow_from(options.grow_from)
    fit_to = None if options.steps else stop_at + 60 * options.later
    trainer.run(photographs, held, stop_at, report, fit_to)
    torch.backends.cudnn.benchmark = False  # each shape of the validation occurs once
    planned = trainer.config.training.steps
    report({"step": trainer.step, "of": planned, "psnr": trainer.validate(held[:2])})
    if options.check:
        check(options.output / "weights.safetensors", device, report)


if __name__ == "__main__":
    main()
