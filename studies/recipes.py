"""Training recipes at equal time: `python -m studies.recipes --data FOLDER [NAME...]`.

Each recipe differs from the first, which is the defaults of `models.training.config`, in what its
name says, and trains the network of anysr-s from nothing for the same CPU time: its steps are
counted out by what its own first steps cost, so its learning rate falls to zero at the end as in a
real run. One thread, one seed. Printed is the mean RGB PSNR of the held-out photographs
(`Trainer.validate`) at full and at quarter width.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from models.training.config import Config, Sampling, Training
from models.training.dataset import Photographs, training_files
from models.training.trainer import Trainer

BASE = Path(__file__).parents[1] / "models" / "configs" / "anysr-s.toml"
MEASURED_STEPS = 24
"""Enough to have seen most widths, whose costs differ."""
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
"""Name -> what differs: settings of `Training`, and `Sampling.patch`."""


def config_of(changes: dict[str, Any]) -> Config:
    """Return the first recipe with some settings changed, wherever they belong; `train` sets its
    steps."""
    changes = {"warmup_steps": WARMUP_STEPS, "validate_every": 10**9, **changes}
    sampling = Sampling(patch=changes.pop("patch", Sampling.patch))
    training = Training(steps=MEASURED_STEPS, **changes)
    return Config(Config.read(BASE).network, training, sampling)


def train(config: Config, photographs: Photographs, held: Sequence[Path], cpu_s: float) -> Any:
    """Train for a CPU time; return the steps that it was worth and the PSNR by scale and width."""
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


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Of RECIPES; all if none.")] = None,
    data: Annotated[list[Path], typer.Option(help="Photographs; repeatable.")] = [],  # noqa: B006
    cpu_seconds: Annotated[float, typer.Option(help="Of each recipe.")] = 240.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Kept up to date.")] = None,
) -> None:
    """Train every recipe named and print what it reached."""
    torch.set_num_threads(1)
    configs = {name: config_of(RECIPES[name]) for name in names or RECIPES}
    count = next(iter(configs.values())).training.validation_images
    files, held = training_files(data, count)
    largest = max(config.crop_side for config in configs.values())
    photographs = Photographs(files, "cpu", largest)
    results: dict[str, Any] = {}
    for name, config in configs.items():
        steps, psnr = train(config, photographs, held, cpu_seconds)
        results[name] = {"steps": steps, "psnr": psnr}
        full, narrow = config.network.args["widths"][-1], config.network.args["widths"][0]
        wide = " / ".join(f"{psnr[f'x{scale}@{full}']:.2f}" for scale in (2, 3, 4))
        low = " / ".join(f"{psnr[f'x{scale}@{narrow}']:.2f}" for scale in (2, 3, 4))
        typer.echo(f"{name}: {steps} steps, {wide}, at a quarter {low}")
        if json_file:
            json_file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
