"""RDN (Zhang et al., CVPR 2018, configuration B) without its tail, plain or with AnySR's blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.anysr import MeanShift, ScaleAttention, Slicing, sliced, slicing_of
from models.architectures.network import Encoder


class DenseBlock(nn.Module):
    """Dense convolutions, then a 1x1 convolution that fuses all their outputs.

    forward: x [B, C, H, W], inverse_scale [2], width k <= C -> [B, C, H, W]. The width cuts the
    outputs of the fourth and the second convolution before the last, as the released network does;
    later layers use their first weights for the channels that remain. The scale attention weights
    the last 2 k channels of the fused input.
    """

    def __init__(self, channels: int, layers: int, slicing: Slicing) -> None:
        super().__init__()
        if layers < 4:
            raise ValueError(f"a dense block has at least 4 layers, got {layers}")
        self.cut = (layers - 4, layers - 2)
        self.layers = nn.ModuleList(
            nn.Conv2d(channels * (k + 1), channels, 3, padding=1) for k in range(layers)
        )
        self.fuse = nn.Conv2d(channels * (layers + 1), channels, 1)
        self.attention = ScaleAttention(2 * channels, slicing) if slicing.pooled else None

    def forward(self, x: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        dense = x
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv2d)  # for the type checker: a list of convolutions
            made = F.relu(sliced(layer, dense, channels if k in self.cut else None))
            dense = torch.cat((dense, made), 1)
        if self.attention is not None:
            kept = dense.shape[1] - 2 * channels
            weighted = self.attention(dense[:, kept:], inverse_scale)
            dense = torch.cat((dense[:, :kept], weighted), 1)
        return x + sliced(self.fuse, dense)


class RDN(Encoder):
    """Residual dense blocks with fused outputs.

    anysr: a `Slicing`, which cuts inside the blocks; without it the plain network.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 16,
        layers: int = 8,
        anysr: Mapping[str, Any] | None = None,
    ) -> None:
        slicing = slicing_of(anysr, channels)
        halo = None if slicing.pooled else blocks * layers + 3
        super().__init__(channels, slicing.widths, halo)
        self.sub_mean = MeanShift(-1) if slicing.released_quirks else None
        self.entry1 = nn.Conv2d(3, channels, 3, padding=1)
        self.entry2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList(DenseBlock(channels, layers, slicing) for _ in range(blocks))
        self.fuse1 = nn.Conv2d(blocks * channels, channels, 1)
        self.fuse2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        x = 2 * image - 1
        if self.sub_mean is not None:
            x = self.sub_mean(x)
        entry: Tensor = self.entry1(x)
        features = self.entry2(entry)
        made = []
        for block in self.blocks:
            features = block(features, inverse_scale, channels)
            made.append(features)
        fused: Tensor = self.fuse2(self.fuse1(torch.cat(made, 1)))
        return entry + fused
