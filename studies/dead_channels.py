"""How many channels a learning rate kills, from nothing and after growth.

Trains the network of a config at each rate, held constant, on the same batches. Six times it prints
the mean loss since the last line, the number of dead channels (`models.training.dead_channels`) and
of those that are above zero on less than one pixel of a thousand, which die next. One seed. A few
hundred steps of a CPU are enough.

Figures: docs/training.md.
Run: python -m studies.dead_channels anysr-m-gpu --data FOLDER --rates 5e-4,1e-3,2e-3
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from models.architectures.conditioned import Conditioned
from models.training.acceleration import denormals_flushed
from models.training.config import Config
from models.training.dataset import Photographs, training_files
from models.training.dead_channels import count_dead
from models.training.trainer import Trainer
from studies.arguments import parser_of

CONFIGS = Path(__file__).parents[1] / "models" / "configs"
SELDOM = 1e-3
LINES = 6
"""Printed for each rate."""


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.dead_channels", __doc__)
    add = parser.add_argument
    add("config", help="name in models/configs, such as anysr-m-gpu")
    add("--data", type=Path, action="append", required=True, help="photographs; repeatable")
    add("--rates", type=_rates, default=[5e-4, 1e-3, 2e-3], help="learning rates, by commas")
    add("--grow-from", type=Path, help="weights to start from")
    add("--steps", type=int, default=400, help="of each rate")
    add("--batch", type=int, default=8)
    add("--patch", type=int, default=24, help="side of an input crop, in pixels")
    add("--warmup", type=int, default=50, help="steps until the rate is reached")
    return parser.parse_args(arguments)


def _rates(text: str) -> list[float]:
    return [float(rate) for rate in text.split(",")]


def config_of(options: argparse.Namespace, rate: float) -> Config:
    """Return the config with the rate, and the size of a step, of the command line."""
    config = Config.read(CONFIGS / f"{options.config}.toml")
    sampling = replace(config.sampling, batch=options.batch, patch=options.patch)
    training = replace(
        config.training,
        steps=options.steps,
        learning_rate=rate,
        warmup_steps=options.warmup,
        cooldown=0.0,
        checkpoint_every=10**9,
        validate_every=10**9,
    )
    return replace(config, sampling=sampling, training=training)


def watch(trainer: Trainer, photographs: Photographs, images: torch.Tensor) -> None:
    """Train, and print loss and dead channels as it goes."""
    network, training = trainer.network, trainer.config.training
    assert isinstance(network, Conditioned), "its channels are counted in conditioned networks"
    every = max(1, training.steps // LINES)
    losses: list[float] = []
    while trainer.step < training.steps:
        losses.append(float(trainer.train_step(photographs).loss))
        if trainer.step % every == 0:
            mean = sum(losses) / len(losses)
            dead, seldom = (count_dead(network, images, part) for part in (0.0, SELDOM))
            at = f"{training.learning_rate:g}: step {trainer.step}"
            print(f"{at}, loss {mean:.5f}, dead {dead}, seldom {seldom}", flush=True)
            losses.clear()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train at each rate."""
    options = arguments_of(arguments)
    config = config_of(options, options.rates[0])
    photographs = Photographs(training_files(options.data, 1)[0], "cpu", config.crop_side)
    images = photographs.draw(config.sampling, torch.Generator().manual_seed(0))[0]
    for rate in options.rates:
        with tempfile.TemporaryDirectory() as folder, denormals_flushed(torch.device("cpu")):
            trainer = Trainer(config_of(options, rate), Path(folder))
            if options.grow_from:
                trainer.grow_from(options.grow_from)
            watch(trainer, photographs, images)


if __name__ == "__main__":
    main()
