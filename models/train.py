"""Training: one command on CPU or CUDA, seeded, resumable to the bit at any moment.

Needs only torch, numpy, pillow and safetensors: `python -m models.train CONFIG --data FOLDER`.

Each step draws one batch at one scale and one width (the full one with
`full_width_probability`), so every (width, scale) pair is trained. All random choices of step n
come from a generator seeded with (seed, n): a resumed run repeats them without saved state.
The learning rate warms up, stays constant and falls linearly to zero over the last `cooldown`
part of `steps`, so a run can be made longer by resuming it with more steps before it cools.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from models.architectures.elastic import Elastic, grid_tensors
from models.architectures.registry import NetworkSpec
from models.checkpoint import load_network, save_network, save_tensors
from models.geometry import axis_grid
from models.growth import grow
from models.photographs import Photographs, Sampling, bicubic_downsample, list_images, read_rgb


@dataclass(frozen=True)
class Training:
    """How long and how fast; see the module docstring for the schedule."""

    steps: int
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    cooldown: float = 0.3
    full_width_probability: float = 0.4
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    seed: int = 1
    checkpoint_every: int = 500
    validate_every: int = 2000
    validation_images: int = 8


@dataclass(frozen=True)
class Config:
    """A training run, as read from a TOML file of models/configs."""

    network: NetworkSpec
    training: Training
    sampling: Sampling = field(default_factory=Sampling)

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read a config; TypeError for an unknown setting, KeyError for a missing table."""
        tables = tomllib.loads(path.read_text())
        return cls(
            NetworkSpec(**tables["network"]),
            Training(**tables["training"]),
            Sampling(**tables.get("sampling", {})),
        )


def learning_rate(training: Training, step: int) -> float:
    """Return the learning rate of a step: warm-up, constant, linear fall to zero."""
    rise = (step + 1) / max(1, training.warmup_steps)
    fall = (training.steps - step) / max(1.0, training.cooldown * training.steps)
    return training.learning_rate * min(1.0, rise, fall)


def split_validation(files: Sequence[Path], count: int) -> tuple[list[Path], list[Path]]:
    """Return (training files, `count` evenly spaced validation files)."""
    held = {files[i * len(files) // count] for i in range(count)} if count else set()
    return [f for f in files if f not in held], [f for f in files if f in held]


def training_files(folders: Sequence[Path], count: int) -> tuple[list[Path], list[Path]]:
    """Return (training files of all folders, `count` validation files of the first)."""
    files, held = split_validation(list_images(folders[:1]), count)
    return files + (list_images(folders[1:]) if folders[1:] else []), held


class Trainer:
    """One run: network, averaged copy, optimiser, and the step that they have reached."""

    def __init__(self, config: Config, output: Path, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.output = output
        self.device = torch.device(device)
        torch.manual_seed(config.training.seed)
        self.network = config.network.build().to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=0.0)
        self.step = 0
        output.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        photographs: Photographs,
        validation: Sequence[Path],
        minutes: float | None = None,
        report: Callable[[dict[str, Any]], None] = lambda facts: None,
    ) -> None:
        """Train to the configured step, or until `minutes` are over; checkpoint as it goes."""
        training = self.config.training
        stop_at = time.monotonic() + 60 * minutes if minutes else float("inf")
        losses: list[float] = []
        since = time.monotonic()
        while self.step < training.steps and time.monotonic() < stop_at:
            losses.append(self.train_step(photographs))
            if self.step % 100 == 0:
                rate = len(losses) / (time.monotonic() - since)
                mean = sum(losses) / len(losses)
                report({"step": self.step, "loss": mean, "steps_per_s": rate})
                losses, since = [], time.monotonic()
            if self.step % training.checkpoint_every == 0:
                self.save()
            if validation and self.step % training.validate_every == 0:
                report({"step": self.step, "psnr": self.validate(validation)})
        self.save()

    def train_step(self, photographs: Photographs) -> float:
        """Do one optimiser step and return its loss."""
        training = self.config.training
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + self.step)
        width = self._draw_width(generator)
        small, target = photographs.draw(self.config.sampling, generator)
        small = small.contiguous(memory_format=torch.channels_last)
        loss = F.l1_loss(upscale(self.network, small, target.shape[2:], width), target)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(training, self.step)
        self.optimiser.step()
        self.step += 1
        # The average follows closely at first, so that a short run is not held at its start.
        decay = min(training.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return float(loss.detach())

    def _draw_width(self, generator: torch.Generator) -> int:
        *narrow, full = self.network.widths
        if (
            not narrow
            or torch.rand((), generator=generator) < self.config.training.full_width_probability
        ):
            return full
        return narrow[int(torch.randint(len(narrow), (), generator=generator))]

    @torch.no_grad()
    def validate(self, files: Sequence[Path], side: int = 384) -> dict[str, float]:
        """Return the averaged weights' mean RGB PSNR on central crops, by width and scale."""
        result: dict[str, float] = {}
        crops = [_central_crop(read_rgb(f), side).to(self.device) for f in files]
        for scale in (2, 3, 4):
            for width in self.network.widths:
                total = 0.0
                for crop in crops:
                    target = crop[None].float() / 255
                    small = bicubic_downsample(target, tuple(n // scale for n in crop.shape[1:]))
                    output = upscale(self.average, small, target.shape[2:], width).clamp(0, 1)
                    total += -10 * float(torch.log10(F.mse_loss(output, target)))
                result[f"x{scale}@{width}"] = round(total / len(crops), 3)
        return result

    def save(self) -> None:
        """Write the checkpoint: averaged weights, then everything that a resumed run needs."""
        save_network(self.output / "weights.safetensors", self.config.network, self.average)
        state = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        state |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{index}.{k}": v for k, v in slots.items()}
        header = {"step": str(self.step), "config": json.dumps(asdict(self.config))}
        save_tensors(self.output / "state.safetensors", state, header)

    def grow_from(self, weights: Path) -> None:
        """Start from a smaller trained network; ValueError when it does not fit in this one."""
        _, small = load_network(weights)
        grow(small.to(self.device), self.network)
        self.average.load_state_dict(self.network.state_dict())

    def resume(self) -> bool:
        """Continue from the output folder's checkpoint; False when there is none."""
        path = self.output / "state.safetensors"
        if not path.exists():
            return False
        tensors = load_file(path)
        self.network.load_state_dict(_under("network.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimiser.", tensors).items():
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = tensor
        optimiser = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**optimiser, "state": slots})
        self.step = int(slots[0]["step"]) if slots else 0
        return True


def upscale(network: Elastic, image: Tensor, size: Sequence[int], channels: int) -> Tensor:
    """Run a network on image [B, 3, H, W] in [0, 1] to `size` (height, width); not clamped."""
    rows = axis_grid(image.shape[2], size[0])
    columns = axis_grid(image.shape[3], size[1])
    output: Tensor = network(image, *grid_tensors(rows, columns, image.device), channels)
    return output


def _central_crop(image: Tensor, side: int) -> Tensor:
    """Cut out at most side x side pixels, a multiple of 12 so that x2, x3 and x4 all divide it."""
    high, wide = (min(side, n) // 12 * 12 for n in image.shape[1:])
    top, left = (image.shape[1] - high) // 2, (image.shape[2] - wide) // 2
    return image[:, top : top + high, left : left + wide]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line, with one printed line per report and a log.jsonl."""
    parser = argparse.ArgumentParser(description="Train a network; resumes what OUTPUT holds.")
    parser.add_argument("config", type=Path)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="the first gives validation"
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--grow-from", type=Path, help="weights of a smaller trained network")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    config = Config.read(options.config)
    files, held = training_files(options.data, config.training.validation_images)
    photographs = Photographs(files, options.device)
    trainer = Trainer(config, options.output, options.device)
    if not trainer.resume() and options.grow_from:
        trainer.grow_from(options.grow_from)

    def report(facts: dict[str, Any]) -> None:
        line = json.dumps(facts)
        print(line, flush=True)
        with (options.output / "log.jsonl").open("a") as log:
            log.write(line + "\n")

    trainer.run(photographs, held, options.minutes, report)


if __name__ == "__main__":
    main()
