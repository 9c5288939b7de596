"""A network that learns: its loss before and after some steps of training."""

from __future__ import annotations

from pathlib import Path

import torch

from models.spec import NetworkSpec
from models.training.config import Config, Sampling, Training
from models.training.dataset import Photographs
from models.training.forward import upscale
from models.training.trainer import Trainer

STEPS = 50


def losses(
    network: NetworkSpec, photographs: Photographs, folder: Path, sampling: Sampling
) -> tuple[float, float]:
    """Return a network's mean absolute error on crops of `sampling`, before and after training."""
    training = Training(
        steps=STEPS, warmup_steps=4, learning_rate=3e-3, checkpoint_every=1000, validate_every=1000
    )
    trainer = Trainer(Config(network, training, Sampling(batch=2, patch=16)), folder)
    small, target = photographs.draw(sampling, torch.Generator().manual_seed(99))
    trainer.network.train()

    def loss() -> float:
        with torch.no_grad():
            made = upscale(trainer.network, small, target.shape[2:], trainer.network.channels)
        return float((made - target).abs().mean())

    before = loss()
    for _ in range(STEPS):
        trainer.train_step(photographs)
    return before, loss()
