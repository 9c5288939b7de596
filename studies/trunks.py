"""Quality and speed of trunks with other blocks, after equal training time.

Each network has 15 or 16 convolutions of anysr-s's channels between its entry and its head, in
blocks of another kind. All are trained from random weights for the same CPU time on one thread. The
results are the RGB PSNR in dB of held-out photographs by width, and the milliseconds of the whole
exported network at each width in ONNX Runtime (float32, one thread): all networks in turn, the best
of several rounds.

Figures: docs/training.md.
Run: python -m studies.trunks --data FOLDER --cpu-seconds 240
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures import registry
from models.architectures.conditioned import Conditioned, ConditionedBlock
from models.architectures.heads.tensor_product import start_convolution
from models.architectures.network import Network
from models.architectures.registry import build_network
from models.export import write_onnx
from models.geometry import axis_grid
from models.network_file import save_network
from models.spec import NetworkSpec
from models.training.config import Config, Sampling, Training
from models.training.dataset import Photographs, training_files
from studies.arguments import parser_of
from studies.recipes import BASE, MEASURED_STEPS, add_training_arguments, train

SIDE, ROUNDS = 128, 7
SHARED = ("channels", "basis", "widths")
"""Arguments of anysr-s that all networks share."""


class GatedBlock(nn.Module):
    """Two convolutions; the first is multiplied by a gate in (0, 2) computed from the condition.

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
    """A 3x3 convolution whose kernel is, in training, the sum of its own and the product of a 1x1,
    a 3x3 and a 1x1 kernel of twice the channels (ECBSR, Zhang et al., ACM MM 2021). Kernels are
    added, not feature maps, so training costs no more."""

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
    """Return the config of a training on clean pictures; `train` sets its steps."""
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
    """Return the shortest ms by network and width, over several rounds of all in turn."""
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


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = parser_of("studies.trunks", __doc__)
    add_training_arguments(parser, TRUNKS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patch", type=int, default=24, help="input pixels a side of a patch")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--optimiser", default="adam", help="adam or muon")
    parser.add_argument(
        "--timed", action=argparse.BooleanOptionalAction, default=True, help="time all afterwards"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the named trunks, then time them all."""
    given = arguments_of(arguments)
    torch.set_num_threads(1)
    names = given.names or list(TRUNKS)
    files, held = training_files(given.data, Training.validation_images)
    photographs = Photographs(files, "cpu", 4 * given.patch)
    results: dict[str, Any] = {}
    for name in names:
        config = config_of(name, given.seed, given.patch, given.rate, given.optimiser)
        steps, psnr = train(config, photographs, held, given.cpu_seconds)
        results[name] = {"steps": steps, "psnr": psnr}
        print(f"{name}: {steps} steps, {psnr}")
        if given.json:
            given.json.write_text(json.dumps(results, indent=1) + "\n")
    if not given.timed:
        return
    for name, figures in milliseconds(names).items():
        print(f"{name}: " + ", ".join(f"{w}: {ms:.1f} ms" for w, ms in figures.items()))


if __name__ == "__main__":
    main()
