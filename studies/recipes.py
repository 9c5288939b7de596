"""Quality of training recipes at equal CPU time.

Each recipe differs from the first, the defaults of `models.training.config`, as its name says.
It trains the network of anysr-s from random weights for the same CPU time. The number of steps
follows from the cost of its own first steps, so the learning rate falls to zero at the end as in a
real run. One thread, one seed. The result is the mean RGB PSNR in dB of held-out photographs
(`Trainer.validate`) at full and at quarter width.

Figures: docs/training.md.
Run: python -m studies.recipes --data FOLDER
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.training.config import Config, Sampling, Training
from models.training.dataset import Photographs, training_files
from models.training.trainer import Trainer
from studies.arguments import parser_of

BASE = Path(__file__).parents[1] / "models" / "configs" / "anysr-s.toml"
MEASURED_STEPS = 24
"""Enough steps to run most widths, whose costs differ."""
WARMUP_STEPS = 50

RECIPES: dict[str, dict[str, Any]] = {
    "one width a step": {},
    "again, another seed": {"seed": 2},
    "learning rate 5e-4": {"learning_rate": 5e-4},
    "learning rate 2e-3": {"learning_rate": 2e-3},
    "muon": {"optimiser": "muon"},
    "cosine": {"schedule": "cosine"},
    "l1 + high frequency": {"loss": "l1+high_frequency"},
    "patches of 24": {"patch": 24},
    "patches of 64": {"patch": 64},
    "patches of 24, then 40": {"patch_stages": ((0.0, 24), (0.6, 40))},
}
"""Name -> changed settings: of `Training`, and `Sampling.patch`."""


def config_of(changes: dict[str, Any]) -> Config:
    """Return the first recipe with changed settings of `Training` and `Sampling`; `train` sets its
    steps."""
    changes = {"warmup_steps": WARMUP_STEPS, "validate_every": 10**9, **changes}
    sampling = Sampling(patch=changes.pop("patch", Sampling.patch))
    training = Training(steps=MEASURED_STEPS, **changes)
    return Config(Config.read(BASE).network, training, sampling)


def train(config: Config, photographs: Photographs, held: Sequence[Path], cpu_s: float) -> Any:
    """Train for `cpu_s` seconds of CPU time; return the number of steps, and the PSNR in dB by
    scale and width."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Trainer(config, Path(folder), "cpu")
        since = time.process_time()
        for _ in range(MEASURED_STEPS):
            probe.train_step(photographs)
        step_s = (time.process_time() - since) / MEASURED_STEPS
        steps = max(MEASURED_STEPS, round(cpu_s / step_s))
        config = replace(config, training=replace(config.training, steps=steps))
        trainer = Trainer(config, Path(folder), "cpu")
        while trainer.step < steps:
            trainer.train_step(photographs)
        return steps, trainer.validate(held)


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.recipes", __doc__)
    add_training_arguments(parser, RECIPES)
    return parser.parse_args(arguments)


def add_training_arguments(parser: argparse.ArgumentParser, known: Iterable[str]) -> None:
    """Add the arguments of a study that trains several networks, of the known names, in turn."""
    choices = list(known)
    listed = ", ".join(f"'{name}'" for name in choices)

    def known_name(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"unknown name {text!r}: {listed}")
        return text

    parser.add_argument(
        "names", nargs="*", type=known_name, metavar="NAME", help=f"of {listed}; default: all"
    )
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="photographs; repeatable"
    )
    parser.add_argument(
        "--cpu-seconds", type=float, default=240.0, help="CPU time of each training"
    )
    parser.add_argument("--json", type=Path, help="file of results, rewritten after each training")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the named recipes, and print their quality."""
    given = arguments_of(arguments)
    torch.set_num_threads(1)
    configs = {name: config_of(RECIPES[name]) for name in given.names or RECIPES}
    count = next(iter(configs.values())).training.validation_images
    files, held = training_files(given.data, count)
    largest = max(config.crop_side for config in configs.values())
    photographs = Photographs(files, "cpu", largest)
    results: dict[str, Any] = {}
    for name, config in configs.items():
        steps, psnr = train(config, photographs, held, given.cpu_seconds)
        results[name] = {"steps": steps, "psnr": psnr}
        full, narrow = config.network.args["widths"][-1], config.network.args["widths"][0]
        wide = " / ".join(f"{psnr[f'x{scale}@{full}']:.2f}" for scale in (2, 3, 4))
        low = " / ".join(f"{psnr[f'x{scale}@{narrow}']:.2f}" for scale in (2, 3, 4))
        print(f"{name}: {steps} steps, {wide}, at a quarter {low}")
        if given.json:
            given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
