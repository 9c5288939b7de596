"""One training run: network, averaged weights and optimiser. Seeded; resumable to the bit on a CPU.

Each step draws one batch at one scale and one width (the full one with `full_width_probability`),
so every (width, scale) pair is trained; or, by AnySR's Algorithm 1, each width at the scales of its
group. All random choices of step n come from a generator seeded with (seed, n): a resumed run
repeats them without saved state. On CUDA the host runs ahead of the device: no step waits for a
result. The part of a step after its batch is drawn, from the trunk to the averaged weights, is one
function of a `models.training.batch.Batch`; it can be captured (`Training.compile`) and is then
launched as one.

A run always leaves a checkpoint: `state.json` with the pieces that it lists
(`models.training.training_state`), and the averaged weights in `weights.safetensors`.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from models.architectures.composed import Composed
from models.architectures.conditioned import Conditioned
from models.architectures.fixed_scale import FixedScale
from models.architectures.network import Network, output_halo_of
from models.architectures.registry import build_network
from models.network_file import load_network, save_network
from models.training.acceleration import denormals_flushed, prepare_device, resolve_precision
from models.training.batch import Batch, FixedBatch, batch_of
from models.training.config import CAPTURED, Config, Sampling, learning_rate
from models.training.cuda_graphs import Replays
from models.training.data_parallel import Peers
from models.training.dataset import Photographs
from models.training.dead_channels import count_dead, revive
from models.training.degradation import draw_strength
from models.training.forward import run_network, trunk_of, upscale
from models.training.losses import LOSSES
from models.training.optimisers import build_optimiser
from models.training.queries import Queries, draw_queries
from models.training.throughput import Meter, Step, count_flops, measured_peak
from models.training.training_state import load_pieces, save_pieces
from models.training.validation import validate
from models.training.warm_start import grow
from models.weights_file import MOST_TENSORS, skeleton
from models.wrong_file import WrongFile

Report = Callable[[dict[str, Any]], None]

UNREADABLE = (SafetensorError, LookupError, OSError, TypeError, ValueError)
"""Errors of a training state that is damaged."""
LOOKED_AT = 16
"""Crops on which dead channels are looked for."""
FIT_S = 2.0
"""Seconds between two estimates of the number of steps, and the reserve before the end."""


class StepFit:
    """Fits the number of steps of a run to a time of time.monotonic at which it is to end."""

    def __init__(self, step: int, end_at: float | None) -> None:
        self._end_at = end_at
        self._step, self._since = step, time.monotonic()

    def total_steps(self, step: int) -> int | None:
        """Return the steps that the run will have done by then, estimated every `FIT_S` seconds;
        None in between, and where no time is given."""
        now = time.monotonic()
        if self._end_at is None or now - self._since < FIT_S:
            return None
        rate = (step - self._step) / (now - self._since)
        self._step, self._since = step, now
        return step + int(rate * max(0.0, self._end_at - FIT_S - now)) + 1


class Trainer:
    """One run: network, averaged copy, optimiser, and the number of steps done."""

    def __init__(
        self,
        config: Config,
        output: Path,
        device: torch.device | str = "cpu",
        peers: Peers = Peers(),  # noqa: B008 - immutable
    ) -> None:
        skeleton(config.network, MOST_TENSORS)  # a spec that builds none fails with one sentence
        self.config = config
        self.peers = peers
        self.output = output
        self.device = torch.device(device)
        prepare_device(self.device)
        torch.manual_seed(config.training.seed)
        self.network = build_network(config.network).to(self.device)
        if isinstance(self.network, FixedScale):
            sampling = config.sampling.only_at(self.network.scale)
            self.config = dataclasses.replace(config, sampling=sampling)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        # Listed once: walking the modules at each step would cost the host a tenth of it.
        self._parameters = list(self.network.parameters())
        self._means: list[Tensor] = list(self.average.parameters())
        # A captured step reads from tensors all values that change from step to step.
        self.padded = config.training.compile in CAPTURED and peers.count == 1
        zero = torch.zeros((), device=self.device)
        rate = zero.clone() if self.padded else 0.0
        self._closeness: float | Tensor = zero if self.padded else 0.0
        self.optimiser = build_optimiser(config.training.optimiser, self.network, self.device, rate)
        self.replays = Replays(self.device)
        self._fixed: dict[int, FixedBatch] = {}
        self.dtype = resolve_precision(config.training.precision, self.device)
        self.trunk = trunk_of(self.network, self.dtype, config.training.compile)
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

        With `fit_to`, a time like `stop_at` and not before it, the number of steps is adjusted to
        the time left, so that the learning rate has fallen by then.
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
        meter = Meter(self._begin(photographs, report))
        fit = StepFit(self.step, fit_to)
        while self.step < self.config.training.steps:
            if self.peers.any_wants(time.monotonic() >= stop_at):
                break
            meter.add(self.train_step(photographs))
            self._set_total_steps(fit.total_steps(self.step))
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
            self._report_dead(photographs, report)

    def _begin(self, photographs: Photographs, report: Report) -> float:
        """Report how the run starts, and return the device's peak in FLOP/s."""
        if self.step == 0:
            self._revive(photographs, report)
        peak = measured_peak(self.device, self.dtype)
        precision = str(self.dtype).removeprefix("torch.")
        report({"step": self.step, "precision": precision, "peak_tflop_per_s": peak / 1e12})
        return peak

    def _revive(self, photographs: Photographs, report: Report) -> None:
        """Start dead channels of the weights that the run begins with anew."""
        if not isinstance(self.network, Conditioned):
            return
        torch.manual_seed(self.config.training.seed)
        count = revive(self.network, self._looked_at(photographs))
        self.average.load_state_dict(self.network.state_dict())
        if count:
            report({"step": self.step, "revived_channels": count})

    def _report_dead(self, photographs: Photographs, report: Report) -> None:
        """Report dead channels, which say that the learning rate was too high."""
        if isinstance(self.network, Conditioned):
            dead = count_dead(self.network, self._looked_at(photographs))
            if dead:
                report({"step": self.step, "dead_channels": dead})

    def _looked_at(self, photographs: Photographs) -> Tensor:
        """Return the pictures at which dead channels are found: the inputs of one batch."""
        sampling = dataclasses.replace(self.config.sampling, batch=LOOKED_AT)
        generator = torch.Generator().manual_seed(self.config.training.seed)
        return photographs.draw(sampling, generator)[0]

    def _set_total_steps(self, steps: int | None) -> None:
        if steps is None:
            return
        training = dataclasses.replace(self.config.training, steps=steps)
        self.config = dataclasses.replace(self.config, training=training)

    def train_step(self, photographs: Photographs) -> Step:
        """Run one optimiser step; its loss stays on the device."""
        training = self.config.training
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + self.step)
        sampling, channels = self._draw(generator)
        strength = draw_strength(sampling, generator)
        sampling = sampling.damaged() if strength else sampling
        part = self.peers.part_of(sampling.batch)
        small, target = photographs.draw(sampling, generator, strength, part)
        queries = self._draw_queries(target, generator)
        batch = self._laid(batch_of(self.network, small, target, queries, strength))
        self._freeze_encoder()
        self._set_rates()
        work = functools.partial(self._update, batch, channels)
        loss = self.replays.run((channels, *small.shape), work) if self.padded else work()
        self.step += 1
        return Step(loss, sampling.batch, self._flops(small.shape[2], channels))

    def _laid(self, batch: Batch) -> Batch:
        """Return a drawn batch on the device, in fixed shapes if the step is to be captured."""
        if not self.padded or self.replays.failure is not None:
            image = batch.image.contiguous(memory_format=torch.channels_last)
            return batch.sent()._replace(image=image)
        patch = batch.image.shape[2]
        if patch not in self._fixed:
            longest = self.config.crop_side_of(patch)
            count = min(longest, self.config.training.queries or longest)
            self._fixed[patch] = FixedBatch(batch, longest, count)
        return self._fixed[patch].fill(batch)

    def _set_rates(self) -> None:
        """Set learning rate and decay of this step, in place if a captured step reads them."""
        for group in self.optimiser.param_groups:
            group["lr"] = _put(group["lr"], learning_rate(self.config.training, self.step))
        # The average follows closely at first, so that a short run leaves its initial weights.
        done = self.step + 1
        decay = min(self.config.training.ema_decay, (1 + done) / (10 + done))
        self._closeness = _put(self._closeness, 1 - decay)

    def _update(self, batch: Batch, channels: int) -> Tensor:
        """Run the device's part of a step at one width and return its loss. Reads only the batch,
        rates, weights and moments, so that it can be captured."""
        self.optimiser.zero_grad()
        loss = self._backward(batch, channels)
        self.peers.average(self._parameters)
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.training.gradient_clip)
        self.optimiser.step()
        self._update_average()
        return loss

    def _freeze_encoder(self) -> None:
        """Freeze the encoder for the first part of the steps (`Training.head_first`)."""
        head_first = self.config.training.head_first
        if head_first and isinstance(self.network, Composed):
            self.network.encoder.requires_grad_(self.config.progress(self.step) >= head_first)

    def _draw(self, generator: torch.Generator) -> tuple[Sampling, int]:
        """Return the sampling of a step and the channels of the width that it trains."""
        training, sampling = self.config.training, self.config.sampling_at(self.step)
        if training.recipe != "algorithm_1":
            return sampling, self._draw_width(generator)
        widths = self.network.widths
        group = int(torch.randint(len(widths), (), generator=generator))
        reset = torch.rand((), generator=generator) < training.reset_probability
        return self.config.sampling_of_group(sampling, group), widths[-1 if reset else group]

    def _draw_queries(self, target: Tensor, generator: torch.Generator) -> Queries | None:
        """Return the rows and columns of the output that a step computes; None for all."""
        count = self.config.training.queries
        if not count:
            return None
        return draw_queries(target.shape[2:], count, output_halo_of(self.network), generator)

    def _draw_width(self, generator: torch.Generator) -> int:
        *narrow, full = self.network.widths
        probability = self.config.training.full_width_probability
        if not narrow or torch.rand((), generator=generator) < probability:
            return full
        return narrow[int(torch.randint(len(narrow), (), generator=generator))]

    def _backward(self, batch: Batch, channels: int) -> Tensor:
        """Add the gradients of one width's mean loss; return that loss."""
        output = run_network(self.network, batch.image, batch.grid, channels, self.trunk)
        loss = batch.mean_loss(self.loss, batch.loss_pixels(output), batch.target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _count_flops(self, patch: int, channels: int) -> float:
        """Return the FLOP of one step at x2, forward and backward."""
        network = copy.deepcopy(self.network).to("meta")
        image = torch.empty(self.config.sampling.batch, 3, patch, patch, device="meta")
        return sum(count_flops(lambda: upscale(network, image, (2 * patch, 2 * patch), channels)))

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

    def validate(self, files: Sequence[Path]) -> dict[str, float]:
        """Return the averaged weights' PSNR as `models.training.validation.validate` does."""
        return validate(self.average, self.config.sampling, files, self.device)

    def save(self) -> None:
        """Write the checkpoint: the averaged weights, then the state for resuming."""
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
        """Load the output folder's checkpoint; return False if there is none. Raises WrongFile for
        one that is damaged, or of another network."""
        try:
            return self._resume()
        except WrongFile:
            raise
        except (*UNREADABLE, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise WrongFile(
                f"{self.output} holds a run that cannot be resumed with this network: {reason}"
            ) from error

    def _resume(self) -> bool:
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
        self.replays = Replays(self.device)  # captured graphs refer to the old moments
        # With head_first the encoder's slots count fewer steps, or none.
        self.step = max((int(slot["step"]) for slot in slots.values()), default=0)
        return True


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


def _put(number: float | Tensor, value: float) -> float | Tensor:
    """Return a number with a new value: a tensor keeps its address."""
    return number.fill_(value) if isinstance(number, Tensor) else value


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
