"""The ways to run a training step on a GPU, timed and compared with the plain one.

Every way trains the same network from the same seed on the same batches. So a captured or compiled
step must have the losses of the plain step, within the errors of bfloat16 and of the order of sums,
and must move the weights as far; otherwise it computes something else.
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
"""Steps until every width has run often enough to be captured, and the steps after them whose
losses are compared."""
TIMED_S = 4.0
AT_ONCE = 20
"""Timed steps between two synchronisations; in between the host runs ahead of the device."""
LOSS_APART, MOVED_APART = 0.03, 0.2
"""Largest relative difference from the plain step: of the losses, and of the distance that the
weights have moved."""


@dataclass(frozen=True)
class Way:
    """Result of one way: losses of the compared steps, distance that the weights had moved after
    them, seconds until then (including compilation and capture), and rates.

    host_ms: time of the host per step. If it equals the time of a step, the device waits for it.
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
        """Return the printed facts."""
        return {
            "way": self.name,
            "start_s": round(self.start_s, 1),
            "steps_per_s": float(f"{self.steps_per_s:.4g}"),
            "tflop_per_s": float(f"{self.tflop_per_s:.4g}"),
            "host_ms": round(self.host_ms, 2),
            "graphs": self.graphs,
        }


def apart(way: Way, plain: Way) -> dict[str, float]:
    """Return the relative differences from the plain way: mean over the compared losses, and
    distance that the weights have moved."""
    pairs = zip(way.losses, plain.losses, strict=True)
    losses = [abs(a - b) / max(abs(b), 1e-12) for a, b in pairs]
    moved = abs(way.moved / max(plain.moved, 1e-12) - 1)
    return {"loss_apart": sum(losses) / len(losses), "moved_apart": moved}


def agree(differences: dict[str, float]) -> bool:
    """Return whether the differences of `apart` are within the bounds; NaN is not."""
    return differences["loss_apart"] <= LOSS_APART and differences["moved_apart"] <= MOVED_APART


def try_way(config: Config, name: str, photographs: Photographs, device: torch.device) -> Way:
    """Train with a way for `BEFORE + COMPARED` steps, then for `TIMED_S` seconds.

    Raises RuntimeError where the way does not work or the capture failed.
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
    """Train for `TIMED_S`; return steps per second, mean FLOP and mean host seconds of a step."""
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
