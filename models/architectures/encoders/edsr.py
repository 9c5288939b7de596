"""EDSR-baseline (Lim et al., CVPRW 2017) without its tail, plain or with AnySR's blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.architectures.anysr import MeanShift, ResidualBranch, slicing_of
from models.architectures.network import Encoder


class EDSR(Encoder):
    """Residual blocks of two 3x3 convolutions between one at the entry and one at the end.

    anysr: a `Slicing`, which cuts the channels inside the blocks; without it the plain network.
    res_scale: factor of a block's branch: 0.1 in EDSR itself, which is four times as wide.
    """

    def __init__(
        self,
        channels: int = 64,
        blocks: int = 16,
        anysr: Mapping[str, Any] | None = None,
        res_scale: float = 1.0,
    ) -> None:
        slicing = slicing_of(anysr, channels)
        super().__init__(channels, slicing.widths, None if slicing.pooled else 2 * blocks + 2)
        self.res_scale = float(res_scale)
        self.sub_mean = MeanShift(-1) if slicing.released_quirks else None
        self.entry = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBranch(channels, slicing) for _ in range(blocks))
        self.end = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        x = 2 * image - 1
        if self.sub_mean is not None:
            x = self.sub_mean(x)
        entry: Tensor = self.entry(x)
        features = entry
        for block in self.blocks:
            branch = block(features, inverse_scale, channels)
            features = features + (branch if self.res_scale == 1 else self.res_scale * branch)
        end: Tensor = self.end(features)
        return entry + end
