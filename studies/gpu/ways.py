"""The ways to run a training step on a GPU, timed and held against each other.

Every way trains the same network from the same seed on the same batches. So what is captured or
compiled must have the losses of the plain step, within what bfloat16 and the order of sums allow,
and must have moved the weights as far; otherwise it is fast at something else.
"""

from __future__ import annotations

import gc
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.training.config import Config
from models.training.dataset import Photographs
from models.training.trainer import Trainer

PLAIN = "off"
BEFORE, COMPARED = 60, 20
"""Steps that see every width often enough to be captured, and the ones after them whose losses are
compared."""
TIMED_S = 4.0
AT_ONCE = 20
"""Timed steps between two waits for the device: the host runs ahead of it meanwhile."""
LOSS_APART, MOVED_APART = 0.03, 0.2
"""How far from the plain step a way may be, as parts: in its losses, and in how far the weights
have moved."""


@dataclass(frozen=True)
class Way:
    """How one way went: the losses of the compared steps, the distance that the weights had moved
    after them, the seconds until then (compiling and capturing included), and its rates.

    host_ms: what the host needs for a step. Where that is a step's whole time the device waits.
    """

    name: str
    losses: tuple[float, ...]
    moved: float
    start_s: float
    steps_per_s: float
    tflop_per_s: float
    host_ms: float
    graphs: int

    def facts(self) -> dict[str, Any]:
        """Return what is printed of it."""
        return {
            "way": self.name,
            "start_s": round(self.start_s, 1),
            "steps_per_s": float(f"{self.steps_per_s:.4g}"),
            "tflop_per_s": float(f"{self.tflop_per_s:.4g}"),
            "host_ms": round(self.host_ms, 2),
            "graphs": self.graphs,
        }


def apart(way: Way, plain: Way) -> dict[str, float]:
    """Return how far a way is from the plain one, as parts: by the mean over the compared losses,
    and by the distance that the weights have moved."""
    pairs = zip(way.losses, plain.losses, strict=True)
    losses = [abs(a - b) / max(abs(b), 1e-12) for a, b in pairs]
    moved = abs(way.moved / max(plain.moved, 1e-12) - 1)
    return {"loss_apart": sum(losses) / len(losses), "moved_apart": moved}


def agree(differences: dict[str, float]) -> bool:
    """Whether what `apart` found is within the bounds; NaN is not."""
    return differences["loss_apart"] <= LOSS_APART and differences["moved_apart"] <= MOVED_APART


def try_way(config: Config, name: str, photographs: Photographs, device: torch.device) -> Way:
    """Train with a way for `BEFORE + COMPARED` steps, then for `TIMED_S`.

    RuntimeError where it does not work; a capture that fails counts as that here.
    """
    config = replace(config, training=replace(config.training, compile=name))
    with tempfile.TemporaryDirectory() as folder:
        since = time.monotonic()
        trainer = Trainer(config, Path(folder), device)
        weights = _weights(trainer)
        for _ in range(BEFORE):
            trainer.train_step(photographs)
        steps = [trainer.train_step(photographs) for _ in range(COMPARED)]
        losses = tuple(float(step.loss) for step in steps)
        moved = float((_weights(trainer) - weights).norm())
        start_s = time.monotonic() - since
        rate, flops, host_s = _timed(trainer, photographs)
        failure, graphs = trainer.replays.failure, trainer.replays.captured
    del trainer
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if failure is not None:
        raise RuntimeError(f"not captured: {failure}")
    return Way(name, losses, moved, start_s, rate, rate * flops / 1e12, 1e3 * host_s, graphs)


def _weights(trainer: Trainer) -> Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


def _timed(trainer: Trainer, photographs: Photographs) -> tuple[float, float, float]:
    """Return the steps per second for `TIMED_S`, the mean FLOP of one, and the host's seconds."""
    since, count, flops, host_s = time.monotonic(), 0, 0.0, 0.0
    while time.monotonic() - since < TIMED_S:
        begun = time.monotonic()
        for _ in range(AT_ONCE):
            step = trainer.train_step(photographs)
            flops += step.flops
        host_s += time.monotonic() - begun
        count += AT_ONCE
        float(step.loss)
    return count / (time.monotonic() - since), flops / count, host_s / count
