"""Trunks at equal training time: `python -m studies.trunks --data FOLDER [NAME...]`.

Each network has 15 or 16 convolutions of anysr-s's channels between its entry and its head; what
differs is the block. All are trained from nothing for the same CPU time on one thread, then
measured: RGB PSNR of the held-out photographs by width, and milliseconds of the whole exported
network at each width in ONNX Runtime (float32, one thread), all networks in turn, the best of
several rounds.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from models.architectures import registry
from models.architectures.conditioned import Conditioned, ConditionedBlock
from models.architectures.heads.tensor_product import start_convolution
from models.architectures.network import Network
from models.architectures.registry import build_network
from models.checkpoint import save_network
from models.export import write_onnx
from models.geometry import axis_grid
from models.spec import NetworkSpec
from models.training.config import Config, Sampling, Training
from models.training.dataset import Photographs, training_files
from studies.recipes import BASE, MEASURED_STEPS, train

SIDE, ROUNDS = 128, 7
SHARED = ("channels", "basis", "widths")
"""What all networks take from anysr-s."""


class GatedBlock(nn.Module):
    """Two convolutions, the first multiplied by a gate in (0, 2) that the condition decides.

    forward: x [B, C, H, W], channels k <= C, gate [C] before its sigmoid -> [B, C, H, W].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        start_convolution(self.conv1, 0.7)
        start_convolution(self.conv2, 0.1)

    def forward(self, x: Tensor, channels: int, gate: Tensor) -> Tensor:
        inner = _prefix(x, self.conv1, channels, None)
        inner = inner * (2 * torch.sigmoid(gate[:channels])).view(1, -1, 1, 1)
        return x + _prefix(F.relu(inner), self.conv2, None, channels)


class SpanBlock(nn.Module):
    """SPAN's block (Wan et al., NTIRE 2024) with ReLU for SiLU: three convolutions and the gate
    without parameters, (x + f) * (sigmoid(f) - 1/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in "abc"
        )
        for conv in self.convolutions:
            assert isinstance(conv, nn.Conv2d)
            start_convolution(conv, 1.0)

    def forward(self, x: Tensor, channels: int, bias: Tensor) -> Tensor:
        first, second, third = self.convolutions
        inner = _prefix(x, first, channels, None) + bias[:channels].view(1, -1, 1, 1)
        inner = _prefix(F.relu(inner), second, channels, channels)
        made = _prefix(F.relu(inner), third, None, channels)
        return (x + made) * (torch.sigmoid(made) - 0.5)


class FoldedConv(nn.Module):
    """A 3x3 convolution whose kernel is, in training, the sum of one of its own and of the product
    of a 1x1, a 3x3 and a 1x1 of twice the channels (ECBSR's idea, Zhang et al., ACM MM 2021). The
    sum is made of the kernels, not of pictures, so training costs as much as without it."""

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        own = nn.Conv2d(channels, channels, 3, padding=1)
        start_convolution(own, gain)
        self.own, self.bias = own.weight, own.bias
        wide = 2 * channels
        self.squeeze = nn.Parameter(torch.randn(channels, wide) * wide**-0.5)
        self.middle = nn.Parameter(torch.randn(wide, wide, 3, 3) * gain * (9 * wide) ** -0.5)
        self.expand = nn.Parameter(torch.randn(wide, channels) * channels**-0.5)

    @property
    def weight(self) -> Tensor:
        product = torch.einsum("om,mnyx,ni->oiyx", self.squeeze, self.middle, self.expand)
        return self.own + product


def _prefix(x: Tensor, conv: nn.Module, out: int | None, into: int | None) -> Tensor:
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    return F.conv2d(x, conv.weight[:out, :into], conv.bias[:out], padding=1)


def plain(convolutions: int, folded: bool = False) -> Callable[[int], nn.Module]:
    def make(channels: int) -> nn.Module:
        block = ConditionedBlock(channels, convolutions)
        if folded:
            gains = [0.7] * (convolutions - 1) + [0.07]
            block.convolutions = nn.ModuleList(FoldedConv(channels, gain) for gain in gains)
        return block

    return make


TRUNKS: dict[str, tuple[Callable[[int], nn.Module], int]] = {
    "8 gated blocks of 2": (GatedBlock, 8),
    "5 blocks of SPAN": (SpanBlock, 5),
    "5 plain blocks of 3": (plain(3), 5),
    "4 plain blocks of 4": (plain(4), 4),
    "4 plain blocks of 4, folded": (plain(4, folded=True), 4),
}


def network_of(name: str, channels: int, basis: int, widths: Sequence[int]) -> Network:
    """Build the conditioned network with the blocks of another trunk."""
    make, blocks = TRUNKS[name]
    network = Conditioned(channels, blocks, basis, widths)
    network.blocks = nn.ModuleList(make(channels) for _ in range(blocks))
    return network


registry.NETWORKS = {**registry.NETWORKS, "trunk": network_of}


def spec_of(name: str) -> NetworkSpec:
    """Return anysr-s with another trunk."""
    args = Config.read(BASE).network.args
    return NetworkSpec("trunk", {"name": name, **{k: args[k] for k in SHARED}})


def config_of(name: str, seed: int, patch: int, rate: float, optimiser: str) -> Config:
    """Return a run of clean pictures; `train` sets its steps."""
    training = Training(
        steps=MEASURED_STEPS,
        learning_rate=rate,
        warmup_steps=100,
        optimiser=optimiser,
        cooldown=0.4,
        seed=seed,
        validate_every=10**9,
    )
    return Config(spec_of(name), training, Sampling(batch=16, patch=patch))


def milliseconds(names: Sequence[str], scale: int = 2) -> dict[str, dict[int, float]]:
    """Return the best time of each network and width, in turn over several rounds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    grid = axis_grid(SIDE, scale * SIDE)
    condition = np.array([1 / scale, 1 / scale, 0.0], np.float32)
    feed = {
        "image": np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32),
        "condition": condition,
        "row_offset": grid.offset,
        "row_index": grid.index,
        "column_offset": grid.offset,
        "column_index": grid.index,
    }
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            spec = spec_of(name)
            network, weights = build_network(spec).eval(), Path(folder) / "weights.safetensors"
            save_network(weights, spec, network)
            for width in network.widths:
                graph = Path(folder) / "graph.onnx"
                write_onnx(network, width, weights, graph)
                sessions[name, width] = onnxruntime.InferenceSession(graph, options)
    best: dict[str, dict[int, float]] = {name: {} for name in names}
    for _ in range(ROUNDS):
        for (name, width), session in sessions.items():
            since = time.perf_counter()
            session.run(None, feed)
            spent = 1e3 * (time.perf_counter() - since)
            best[name][width] = min(spent, best[name].get(width, spent))
    return best


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Of TRUNKS; all if none.")] = None,
    data: Annotated[list[Path], typer.Option(help="Photographs; repeatable.")] = [],  # noqa: B006
    cpu_seconds: Annotated[float, typer.Option(help="Of each training.")] = 240.0,
    seed: int = 1,
    patch: int = 24,
    rate: float = 2e-3,
    optimiser: Annotated[str, typer.Option(help="adam or muon.")] = "adam",
    timed: bool = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Kept up to date.")] = None,
) -> None:
    """Train every trunk named, then time them all."""
    torch.set_num_threads(1)
    chosen = names or list(TRUNKS)
    files, held = training_files(data, Training.validation_images)
    photographs = Photographs(files, "cpu", 4 * patch)
    results: dict[str, Any] = {}
    for name in chosen:
        steps, psnr = train(
            config_of(name, seed, patch, rate, optimiser), photographs, held, cpu_seconds
        )
        results[name] = {"steps": steps, "psnr": psnr}
        typer.echo(f"{name}: {steps} steps, {psnr}")
        if json_file:
            json_file.write_text(json.dumps(results, indent=1) + "\n")
    if not timed:
        return
    for name, figures in milliseconds(chosen).items():
        typer.echo(f"{name}: " + ", ".join(f"{w}: {ms:.1f} ms" for w, ms in figures.items()))


if __name__ == "__main__":
    typer.run(main)
