"""Training: one command on CPU or CUDA, seeded, resumable to the bit (on CPU) at any moment.

Needs only torch, numpy, pillow and safetensors: `python -m models.training.trainer CONFIG --data
FOLDER`.

Each step draws one batch at one scale and one width (the full one with `full_width_probability`),
so every (width, scale) pair is trained; or, by AnySR's Algorithm 1, each width at the scales of its
group. All random choices of step n come from a generator seeded with (seed, n): a resumed run
repeats them without saved state. On CUDA the host runs ahead of the device: no step waits for a
result. What follows the drawing of a batch, from the trunk to the averaged weights, is one function
of a `models.training.batch.Batch`; it can be captured there (`Training.compile`), and is then
launched as one.

A run goes on wherever it is resumed, with the photographs that it is given then: data may come
in packs, one after the other. The validation images are held out of the first folder, or of
`--validation FOLDER`, which keeps them the same when the packs change; a held image is never
trained on, in whichever folder a copy of it lies. `--minutes` counts the reading too, which ends
early when it must, and a run always leaves a checkpoint: `state.json` with the pieces that it
names (`models.training.sharded_state`), and the averaged weights in `weights.safetensors`.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.architectures.composed import Composed
from models.architectures.conditioned import Conditioned
from models.architectures.fixed_scale import FixedScale
from models.architectures.network import Network, TrunkedNetwork, output_halo_of
from models.checkpoint import load_network, save_network
from models.training.acceleration import (
    PROGRAMS_LIMIT,
    Trunk,
    denormals_flushed,
    prepare_device,
    resolve_precision,
)
from models.training.batch import Batch, FixedBatch, batch_of, positions_of
from models.training.config import CAPTURED, Config, Sampling, learning_rate
from models.training.data_parallel import Peers, join
from models.training.dataset import Photographs, read_rgb, training_files
from models.training.degradation import degrade, draw_strength
from models.training.losses import LOSSES
from models.training.muon import MuonAdam
from models.training.queries import Queries, draw_queries
from models.training.replay import Replays
from models.training.sharded_state import load_pieces, save_pieces
from models.training.throughput import Meter, Step, count_flops, measured_peak
from models.training.warm_start import grow

Report = Callable[[dict[str, Any]], None]

FIT_S = 2.0
"""How often a run that is fit to the clock counts its steps anew, and what it keeps in reserve."""

VALIDATED_STRENGTH = 0.5
"""How damaged the inputs of a second validation are, in runs that train damaged ones."""


class Pace:
    """Counts how many steps a run will have done by a time of time.monotonic."""

    def __init__(self, step: int, fit_to: float | None) -> None:
        self._fit_to = fit_to
        self._step, self._since = step, time.monotonic()

    def steps_in_all(self, step: int) -> int | None:
        """Return the number, counted anew every `FIT_S` seconds; None in between, and where no
        time is given."""
        now = time.monotonic()
        if self._fit_to is None or now - self._since < FIT_S:
            return None
        rate = (step - self._step) / (now - self._since)
        self._step, self._since = step, now
        return step + int(rate * max(0.0, self._fit_to - FIT_S - now)) + 1


class Trainer:
    """One run: network, averaged copy, optimiser, and the step that they have reached."""

    def __init__(
        self,
        config: Config,
        output: Path,
        device: torch.device | str = "cpu",
        peers: Peers = Peers(),  # noqa: B008 - immutable
    ) -> None:
        self.config = config
        self.peers = peers
        self.output = output
        self.device = torch.device(device)
        prepare_device(self.device)
        torch.manual_seed(config.training.seed)
        self.network = config.network.build().to(self.device)
        if isinstance(self.network, FixedScale):
            sampling = config.sampling.only_at(self.network.scale)
            self.config = dataclasses.replace(config, sampling=sampling)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        # Walked once: to find them anew for each step would cost the host a tenth of it.
        self._parameters = list(self.network.parameters())
        self._means: list[Tensor] = list(self.average.parameters())
        # A captured step reads from tensors whatever changes from step to step.
        self.padded = config.training.compile in CAPTURED and peers.count == 1
        zero = torch.zeros((), device=self.device)
        rate = zero.clone() if self.padded else 0.0
        self._closeness: float | Tensor = zero if self.padded else 0.0
        self.optimiser = _optimiser(config.training.optimiser, self.network, self.device, rate)
        self.replays = Replays(self.device)
        self._fixed: dict[int, FixedBatch] = {}
        self.dtype = resolve_precision(config.training.precision, self.device)
        self.trunk = _trunk_of(self.network, self.dtype, config.training.compile)
        self.loss = LOSSES[config.training.loss]
        _check_recipe(config, self.network)
        self.step = 0
        self._flops = functools.cache(self._count_flops)
        output.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        photographs: Photographs,
        validation: Sequence[Path],
        stop_at: float = float("inf"),
        report: Report = lambda facts: None,
        fit_to: float | None = None,
    ) -> None:
        """Train to the configured step, or until `stop_at` (of time.monotonic); checkpoint as it
        goes and at the end.

        With `fit_to`, a time like `stop_at` and not before it, the configured steps become as many
        as there will be by then, so that the learning rate has fallen when the time is over.
        """
        with denormals_flushed(self.device):
            self._run(photographs, validation, stop_at, report, fit_to)

    def _run(
        self,
        photographs: Photographs,
        validation: Sequence[Path],
        stop_at: float,
        report: Report,
        fit_to: float | None,
    ) -> None:
        training = self.config.training
        peak = measured_peak(self.device, self.dtype)
        precision = str(self.dtype).removeprefix("torch.")
        report({"step": self.step, "precision": precision, "peak_tflop_per_s": peak / 1e12})
        meter = Meter(peak)
        pace = Pace(self.step, fit_to)
        while self.step < self.config.training.steps:
            if self.peers.any_wants(time.monotonic() >= stop_at):
                break
            meter.add(self.train_step(photographs))
            self._plan(pace.steps_in_all(self.step))
            if not self.peers.first:
                continue
            if self.step % 100 == 0:
                graphs = {"graphs": self.replays.captured} if self.padded else {}
                report({"step": self.step, **meter.read(), **graphs})
            with meter.paused():
                if self.step % training.checkpoint_every == 0:
                    self.save()
                if validation and self.step % training.validate_every == 0:
                    report({"step": self.step, "psnr": self.validate(validation)})
        if self.peers.first:
            self.save()

    def _plan(self, steps: int | None) -> None:
        if steps is None:
            return
        training = dataclasses.replace(self.config.training, steps=steps)
        self.config = dataclasses.replace(self.config, training=training)

    def train_step(self, photographs: Photographs) -> Step:
        """Do one optimiser step; its loss stays on the device."""
        training = self.config.training
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + self.step)
        sampling, widths = self._draw(generator)
        strength = draw_strength(sampling, generator)
        sampling = sampling.damaged() if strength else sampling
        part = self.peers.part_of(sampling.batch)
        small, target = photographs.draw(sampling, generator, strength, part)
        queries = self._draw_queries(target, generator)
        batch = self._laid(batch_of(self.network, small, target, queries, strength))
        self._choose_what_learns()
        self._tell_numbers()
        work = functools.partial(self._learn, batch, widths)
        loss = self.replays.run((*widths, *small.shape), work) if self.padded else work()
        self.step += 1
        return Step(loss, sampling.batch, self._flops_of(widths, small.shape[2]))

    def _laid(self, batch: Batch) -> Batch:
        """Return a drawn batch on the device, in fixed shapes where the step is to be captured."""
        if not self.padded or self.replays.failure is not None:
            image = batch.image.contiguous(memory_format=torch.channels_last)
            return batch.sent()._replace(image=image)
        patch = batch.image.shape[2]
        if patch not in self._fixed:
            longest = self.config.crop_side_of(patch)
            count = min(longest, self.config.training.queries or longest)
            self._fixed[patch] = FixedBatch(batch, longest, count)
        return self._fixed[patch].fill(batch)

    def _tell_numbers(self) -> None:
        """Set what changes from step to step: in place where a captured step reads it."""
        for group in self.optimiser.param_groups:
            group["lr"] = _put(group["lr"], learning_rate(self.config.training, self.step))
        # The average follows closely at first, so that a short run is not held at its start.
        done = self.step + 1
        decay = min(self.config.training.ema_decay, (1 + done) / (10 + done))
        self._closeness = _put(self._closeness, 1 - decay)

    def _learn(self, batch: Batch, widths: Sequence[int]) -> Tensor:
        """Do the device's part of a step and return its loss. It reads the batch, numbers, weights
        and moments, and nothing else that changes, so that it can be captured."""
        self.optimiser.zero_grad()
        loss = self._backward(batch, widths)
        self.peers.average(self._parameters)
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.training.gradient_clip)
        self.optimiser.step()
        self._update_average()
        return loss

    def _choose_what_learns(self) -> None:
        head_first = self.config.training.head_first
        if head_first and isinstance(self.network, Composed):
            self.network.encoder.requires_grad_(self.config.progress(self.step) >= head_first)

    def _draw(self, generator: torch.Generator) -> tuple[Sampling, list[int]]:
        """Return how a step draws its batch, and the widths that it trains, widest first."""
        training, sampling = self.config.training, self.config.sampling_at(self.step)
        if training.recipe != "algorithm_1":
            return sampling, self._draw_widths(generator)
        widths = self.network.widths
        group = int(torch.randint(len(widths), (), generator=generator))
        reset = torch.rand((), generator=generator) < training.reset_probability
        return self.config.sampling_of_group(sampling, group), [widths[-1 if reset else group]]

    def _draw_queries(self, target: Tensor, generator: torch.Generator) -> Queries | None:
        """Return the rows and columns of the output that a step computes; None for all."""
        count = self.config.training.queries
        if not count:
            return None
        return draw_queries(target.shape[2:], count, output_halo_of(self.network), generator)

    def _draw_widths(self, generator: torch.Generator) -> list[int]:
        training = self.config.training
        *narrow, full = self.network.widths
        if training.sandwich:  # Yu and Huang, Universally Slimmable Networks, ICCV 2019
            return [full, *_one_of(narrow[1:], generator), *narrow[:1]]
        if not narrow or torch.rand((), generator=generator) < training.full_width_probability:
            return [full]
        return _one_of(narrow, generator)

    def _backward(self, batch: Batch, widths: Sequence[int]) -> Tensor:
        """Add the gradients of the widths' mean loss; return that loss.

        With distillation a narrow width also learns from the widest's output of this step (the
        in-place distillation of Yu and Huang), which costs a pass where the widest is not drawn.
        """
        full, weight = self.network.channels, self.config.training.distillation

        def run(channels: int) -> Tensor:
            return batch.judged_of(
                run_network(self.network, batch.image, batch.grid, channels, self.trunk)
            )

        total = torch.zeros((), device=self.device)
        teacher: Tensor | None = None
        if weight and full not in widths:
            with torch.no_grad():
                teacher = run(full)
        for channels in widths:
            output = run(channels)
            loss = batch.mean_loss(self.loss, output, batch.target)
            if teacher is not None:
                taught = batch.mean_loss(self.loss, output, teacher)
                loss = (1 - weight) * loss + weight * taught
            elif weight:
                teacher = output.detach()
            loss = loss / len(widths)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _flops_of(self, widths: Sequence[int], patch: int) -> float:
        """Return the FLOP of a step: of its widths, and of a teacher's pass of its own."""
        flops = sum(sum(self._flops(patch, channels)) for channels in widths)
        full = self.network.channels
        if self.config.training.distillation and full not in widths:
            flops += self._flops(patch, full)[0]
        return flops

    def _count_flops(self, patch: int, channels: int) -> tuple[float, float]:
        """Return the FLOP of one batch forward and backward, at x2."""
        network = copy.deepcopy(self.network).to("meta")
        image = torch.empty(self.config.sampling.batch, 3, patch, patch, device="meta")
        return count_flops(lambda: upscale(network, image, (2 * patch, 2 * patch), channels))

    @torch.no_grad()
    def _update_average(self) -> None:
        now: list[Tensor] = list(self._parameters)
        if isinstance(self._closeness, Tensor):
            ways = torch._foreach_sub(now, self._means)
            torch._foreach_mul_(ways, self._closeness)
            torch._foreach_add_(self._means, ways)
        else:
            torch._foreach_lerp_(self._means, now, self._closeness)
        for mean, buffer in zip(self.average.buffers(), self.network.buffers(), strict=True):
            mean.copy_(buffer)  # running statistics are averages already

    @torch.no_grad()
    def validate(self, files: Sequence[Path], side: int = 384) -> dict[str, float]:
        """Return the averaged weights' mean RGB PSNR on central crops, by width and scale, and for
        damaged inputs where the run trains them; inputs are degraded as in training, the same
        way each time. No scale is beyond the network's own largest."""
        crops = [_central_crop(read_rgb(f), side).to(self.device) for f in files]
        scales = [s for s in (2, 3, 4) if s <= self.average.max_scale]
        damaged = [VALIDATED_STRENGTH] if self.config.sampling.damaged_probability else []
        result: dict[str, float] = {}
        for strength in (0.0, *damaged):
            for scale in scales:
                for width in self.network.widths:
                    psnr = [self._psnr(c, scale, width, strength, n) for n, c in enumerate(crops)]
                    told = f" strength {strength:g}" if strength else ""
                    result[f"x{scale}@{width}{told}"] = round(sum(psnr) / len(psnr), 3)
        return result

    def _psnr(self, crop: Tensor, scale: int, width: int, strength: float, seed: int) -> float:
        target = crop[None].float() / 255
        size = [n // scale for n in crop.shape[1:]]
        generator = torch.Generator().manual_seed(seed)
        small = degrade(target, size, self.config.sampling, generator, strength)
        output = upscale(self.average, small, target.shape[2:], width, strength=strength)
        return -10 * float(torch.log10(F.mse_loss(output.clamp(0, 1), target)))

    def save(self) -> None:
        """Write the checkpoint: averaged weights, then everything that a resumed run needs."""
        weights = self.output / "weights.safetensors"
        save_network(weights, self.config.network, self.average, self.config.scales)
        state = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        state |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{index}.{k}": v for k, v in slots.items()}
        facts = {"step": self.step, "config": dataclasses.asdict(self.config)}
        save_pieces(self.output, state, facts, self.config.training.checkpoint_piece_mib)

    def grow_from(self, weights: Path) -> None:
        """Start from a smaller trained network; ValueError when it does not fit in this one."""
        _, small = load_network(weights)
        grow(small.to(self.device), self.network)
        self.average.load_state_dict(self.network.state_dict())

    def resume(self) -> bool:
        """Continue from the output folder's checkpoint; False when there is none."""
        tensors = load_pieces(self.output)
        if not tensors:
            return False
        self.network.load_state_dict(_under("network.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimiser.", tensors).items():
            index, key = name.split(".", 1)
            like = parameters[int(index)]
            # Fused Adam takes only slots that lie in memory as their parameters do.
            laid = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
            slots.setdefault(int(index), {})[key] = laid
        optimiser = self.optimiser.state_dict()
        self.optimiser.load_state_dict({**optimiser, "state": slots})
        self.replays = Replays(self.device)  # graphs would go on with the moments of before
        # With head_first what belongs to the encoder counts fewer steps, or none.
        self.step = max((int(slot["step"]) for slot in slots.values()), default=0)
        return True


def upscale(
    network: Network,
    image: Tensor,
    size: Sequence[int],
    channels: int,
    trunk: Trunk | None = None,
    queries: Queries | None = None,
    strength: float = 0.0,
) -> Tensor:
    """Run a network on image [B, 3, H, W] in [0, 1] to `size` (height, width); not clamped.

    `trunk` stands in for the network's own. Of `queries`, only those rows and columns are made.
    `strength` is for a network that takes one; others never see it.
    """
    grid = [
        # Sent without waiting for the device, as grid_for itself would.
        t.to(image.device, non_blocking=True)
        for t in positions_of(network, image.shape[2:], size, queries, strength)
    ]
    return run_network(network, image, grid, channels, trunk)


def run_network(
    network: Network,
    image: Tensor,
    grid: Sequence[Tensor],
    channels: int,
    trunk: Trunk | None = None,
) -> Tensor:
    """Run a network at the positions of a `grid` that lies where the image does; `trunk` stands in
    for its own."""
    if trunk is None:
        output: Tensor = network(image, *grid, channels)
        return output
    assert isinstance(network, TrunkedNetwork)  # for the type checker: nothing else has a trunk
    upscaled: Tensor = network.head(trunk(image, grid[0], channels), image, *grid)
    return upscaled


def _check_recipe(config: Config, network: Network) -> None:
    groups = len(config.training.scale_groups)
    if config.training.recipe == "algorithm_1" and groups != len(network.widths):
        raise ValueError(f"{groups} scale_groups for {len(network.widths)} widths: one for each")
    least = 2 * output_halo_of(network)
    if least and config.training.compile in CAPTURED:
        raise ValueError("this head mixes output pixels, so a step cannot be padded to capture it")
    if 0 < config.training.queries <= least:
        raise ValueError(f"queries must be more than {least}: this head mixes output pixels")
    if config.training.head_first and not isinstance(network, Composed):
        raise ValueError(f"head_first needs an encoder and a head, not {config.network.name}")


def _optimiser(
    name: str, network: Network, device: torch.device, rate: float | Tensor
) -> torch.optim.Optimizer:
    """Return the optimiser of `Training.optimiser`; Muon takes the kernels that lead from features
    to features, outside the head. A `rate` that is a tensor makes its steps fit for capture."""
    if name == "adam" and not isinstance(rate, Tensor):
        fused = True if device.type == "cuda" else None
        return torch.optim.Adam(network.parameters(), lr=rate, fused=fused)
    kernels: list[Tensor] = []
    others: list[Tensor] = []
    for path, parameter in network.named_parameters():
        inner = parameter.ndim == 4 and min(parameter.shape[:2]) > 3 and "head." not in path
        (kernels if inner and name == "muon" else others).append(parameter)
    return MuonAdam(kernels, others, rate)


def _put(number: float | Tensor, value: float) -> float | Tensor:
    """Return a number with a new value: a tensor keeps its address."""
    return number.fill_(value) if isinstance(number, Tensor) else value


def _trunk_of(network: Network, dtype: torch.dtype, compiler: str) -> Trunk | None:
    """Return the trunk made fast; None where there is none, and all runs in float32.

    The conditioned network is compiled block by block: its blocks are alike, so one program for
    each width serves all of them, and is made in seconds.
    """
    if not isinstance(network, TrunkedNetwork):
        return None
    compiled = compiler.startswith("inductor")
    if compiled and isinstance(network, Conditioned):
        _compile_blocks(network)
        compiled = False
    return Trunk(network, dtype, compiled)


def _compile_blocks(network: Conditioned) -> None:
    # Imported here: it takes seconds that a run without it need not spend.
    import torch._dynamo.config

    torch._dynamo.config.recompile_limit = PROGRAMS_LIMIT
    for block in network.blocks:
        block.compile(dynamic=False)


def _one_of(widths: Sequence[int], generator: torch.Generator) -> list[int]:
    """Draw one width; none of none."""
    return [widths[int(torch.randint(len(widths), (), generator=generator))]] if widths else []


def _central_crop(image: Tensor, side: int) -> Tensor:
    """Cut out at most side x side pixels, a multiple of 12 so that x2, x3 and x4 all divide it."""
    high, wide = (min(side, n) // 12 * 12 for n in image.shape[1:])
    top, left = (image.shape[1] - high) // 2, (image.shape[2] - wide) // 2
    return image[:, top : top + high, left : left + wide]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line, with one printed line per report and a log.jsonl."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description="Train a network; resumes what OUTPUT holds.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--data", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--validation", type=Path, help="by default the first of --data")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--grow-from", type=Path, help="weights of a smaller trained network")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="reading included")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    stop_at = started + 60 * options.minutes
    peers = join()
    config = Config.read(options.config)
    count = config.training.validation_images
    files, held = training_files(options.data, count, options.validation)
    trainer = Trainer(config, options.output, options.device, peers)
    if not trainer.resume() and options.grow_from:
        trainer.grow_from(options.grow_from)
    photographs = Photographs(files, options.device, trainer.config.crop_side, stop_at)

    def report(facts: dict[str, Any]) -> None:
        if not peers.first:
            return
        line = json.dumps(facts)
        print(line, flush=True)
        with (options.output / "log.jsonl").open("a") as log:
            log.write(line + "\n")

    trainer.run(photographs, held, stop_at, report)


if __name__ == "__main__":
    main()
