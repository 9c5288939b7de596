"""Train on a GPU for a few minutes, and go on in a later call: `python -m studies.gpu.train`.

One call checks the machine, tries each way to run a step for some seconds and holds it against the
plain one (`studies.gpu.ways`), trains with the fastest that agrees until its minutes are over,
validates, and leaves a checkpoint in pieces that a next call goes on from. `--check` compares even
where `--compile` names one way, and spends the last minute on the tests that need CUDA and on what
TorchScript takes there. It needs what training needs: torch, numpy, pillow and safetensors;
`--check` pytest too.

    python -m studies.gpu.train anysr-m-gpu --data FOLDER --output RUN --minutes 9 --later 2
    python -m studies.gpu.train anysr-m-gpu --data FOLDER --output RUN --minutes 3 --check

Without `--output` a run goes to a folder of the config's name in $OUT, or in runs/ where that is
not set. `--start-from FOLDER` copies a checkpoint from elsewhere if the output has none. All that
is printed is added to log.jsonl there, the result last.

The steps are as many as fit into the minutes, those of later calls (`--later`) included, so that
the learning rate has fallen when they are over.
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
from models.checkpoint import load_network
from models.geometry import axis_grid
from models.training.config import COMPILERS, Config
from models.training.dataset import Photographs, training_files
from models.training.sharded_state import read_facts
from models.training.trainer import Trainer
from studies.gpu.ways import PLAIN, Way, agree, apart, try_way

CONFIGS = Path(__file__).parents[2] / "models" / "configs"
WAYS = (PLAIN, "graphs", "inductor+graphs")
"""Those of `COMPILERS` that are tried on a GPU; elsewhere the plain one alone."""
CHECK_S = 60.0
CUDA_TESTS = ["-c", os.devnull, "--confcutdir", "tests/models", "-k", "cuda", "-q", "tests/models"]
"""Without the settings and fixtures of the other rooms, which need more than training does."""
TIMED_SIDE, TIMED_RUNS = 256, 20

Tell = Callable[[dict[str, Any]], None]


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


def fastest_way(
    names: Sequence[str],
    config: Config,
    photographs: Photographs,
    device: torch.device,
    tell: Tell,
) -> str:
    """Try ways to run a step, of which the plain one comes first; return the one of most steps per
    second among those that work and agree with it. SystemExit where none does."""
    plain: Way | None = None
    good: list[Way] = []
    for name in names:
        try:
            way = try_way(config, name, photographs, device)
        except Exception as error:  # a compiler may raise anything, and the others may work
            tell({"way": name, "failed": (str(error).splitlines() or [repr(error)])[0]})
            continue
        plain = way if name == PLAIN else plain
        differences = apart(way, plain) if plain else {}
        agrees = plain is None or agree(differences)
        tell({**way.facts(), **differences, "agrees": agrees})
        if agrees:
            good.append(way)
    if not good:
        raise SystemExit("No way to run a step works here; the lines above say why.")
    return max(good, key=lambda way: way.steps_per_s).name


def time_torchscript(weights: Path, device: torch.device) -> dict[str, float]:
    """Return the milliseconds of the whole network as TorchScript, by width, at x2."""
    _, network = load_network(weights)
    with warnings.catch_warnings():  # torch calls TorchScript deprecated; it is what is served
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


def teller(output: Path) -> Tell:
    """Return what prints facts as a line of JSON and adds it to the run's log."""
    output.mkdir(parents=True, exist_ok=True)

    def tell(facts: dict[str, Any]) -> None:
        line = json.dumps(facts)
        print(line, flush=True)
        with (output / "log.jsonl").open("a") as log:
            log.write(line + "\n")

    return tell


def default_output(config: Path) -> Path:
    """Return the folder of a run that names none."""
    return Path(os.environ.get("OUT") or "runs") / config.stem


def start_from(folder: Path, output: Path) -> None:
    """Copy a checkpoint to an output that has none."""
    if not read_facts(output):
        shutil.copytree(folder, output, dirs_exist_ok=True, copy_function=shutil.copyfile)


def check(weights: Path, device: torch.device, tell: Tell) -> None:
    """Time TorchScript and run the tests that need CUDA, within `CHECK_S`."""
    tell({"torchscript_ms": time_torchscript(weights, device)})
    try:
        subprocess.run([sys.executable, "-m", "pytest", *CUDA_TESTS], check=False, timeout=CHECK_S)
    except subprocess.TimeoutExpired:
        tell({"tests": f"not done after {CHECK_S:g} s"})


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line, read; `config` as a path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", help="a name in models/configs, such as anysr-m-gpu, or a file")
    parser.add_argument("--data", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--output", type=Path, help="resumed if it has a checkpoint")
    parser.add_argument("--start-from", type=Path, help="a checkpoint for an output without one")
    parser.add_argument("--grow-from", type=Path, help="weights of a smaller trained network")
    parser.add_argument("--minutes", type=float, required=True, help="of the whole call")
    parser.add_argument("--later", type=float, default=0.0, help="minutes of a next call")
    parser.add_argument("--steps", type=int, help="so many, instead of as many as fit")
    parser.add_argument(
        "--compile", choices=COMPILERS, action="append", help="a way to try; one alone is taken"
    )
    parser.add_argument("--validation", type=Path, help="by default the first of --data")
    parser.add_argument("--check", action="store_true", help="compare, end with tests and timings")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    path = Path(options.config)
    options.config = path if path.suffix else CONFIGS / f"{path}.toml"
    options.output = options.output or default_output(options.config)
    return options


def chosen_way(
    options: argparse.Namespace, config: Config, photographs: Photographs, tell: Tell
) -> str:
    """Return the one way that is named, or else the fastest of those that are to be tried."""
    device = torch.device(options.device)
    names: list[str] = options.compile or (list(WAYS) if device.type == "cuda" else [PLAIN])
    if options.compile and len(names) == 1 and not options.check:
        return names[0]
    return fastest_way(list(dict.fromkeys([PLAIN, *names])), config, photographs, device, tell)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check, compare, train, and check again."""
    started = time.monotonic()
    options = arguments_of(arguments)
    device = torch.device(options.device)
    stop_at = started + 60 * options.minutes - (CHECK_S if options.check else 0)
    tell = teller(options.output)
    tell(environment(device))
    config = Config.read(options.config)
    count = config.training.validation_images
    files, held = training_files(options.data, count, options.validation)
    photographs = Photographs(files, device, config.crop_side, stop_at)
    if options.start_from:
        start_from(options.start_from, options.output)
    way = chosen_way(options, config, photographs, tell)
    tell({"photographs": len(photographs), "compile": way})
    steps = options.steps or planned_steps(options.output) or config.training.steps
    config = replace(config, training=replace(config.training, compile=way, steps=steps))
    trainer = Trainer(config, options.output, device)
    if not trainer.resume() and options.grow_from:
        trainer.grow_from(options.grow_from)
    fit_to = None if options.steps else stop_at + 60 * options.later
    trainer.run(photographs, held, stop_at, tell, fit_to)
    torch.backends.cudnn.benchmark = False  # every shape of the validation comes once
    planned = trainer.config.training.steps
    tell({"step": trainer.step, "of": planned, "psnr": trainer.validate(held[:2])})
    if options.check:
        check(options.output / "weights.safetensors", device, tell)


if __name__ == "__main__":
    main()
