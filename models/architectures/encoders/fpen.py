"""FPEN's encoder: stacked High Frequency Preserving Blocks (Su et al., IEEE Access 2023).

A block (HFPB, Eq. 7-8) subtracts the local mean from its features. The remainder, edges and
textures, passes through its deeper branch, at full size and, in passes that share their weights, at
half size. The paper leaves most sizes open; each choice is given in docs/models/fpen.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.anysr import ResidualBranch, Slicing, slicing_of
from models.architectures.network import Encoder
from models.architectures.windows import extend_to_multiple

COLOURS = 3
POOL = 2
"""Side of the areas whose mean counts as low frequency, and by which the lower branch shrinks."""


class BasicBlock(ResidualBranch):
    """BRFB: x + conv(relu(conv(x))), shape kept; with slicing, AnySR's block."""

    def forward(self, x: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        return x + super().forward(x, inverse_scale, channels)


class LearnableBlock(ResidualBranch):
    """LRB: a residual block with learned weights of identity and residue."""

    def __init__(self, channels: int, slicing: Slicing) -> None:
        super().__init__(channels, slicing)
        self.weights = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        residue = super().forward(x, inverse_scale, channels)
        return self.weights[0] * x + self.weights[1] * residue


class LearnableFeatureBlock(nn.Module):
    """LRFB: two LRBs one after the other, their weighted outputs fused, and a weighted identity."""

    def __init__(self, channels: int, slicing: Slicing) -> None:
        super().__init__()
        self.first = LearnableBlock(channels, slicing)
        self.second = LearnableBlock(channels, slicing)
        self.fuse = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.extract = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.weights = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        first = self.first(x, inverse_scale, channels)
        second = self.second(first, inverse_scale, channels)
        both = torch.cat((self.weights[0] * first, self.weights[1] * second), 1)
        output: Tensor = self.weights[2] * x + self.weights[3] * self.extract(self.fuse(both))
        return output


class ChannelAttention(nn.Module):
    """Channel attention: x times a factor in (0, 1) per channel, computed from the channels'
    means."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(1, channels // reduction), 1)
        self.excite = nn.Conv2d(max(1, channels // reduction), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        factor: Tensor = torch.sigmoid(self.excite(F.relu(self.squeeze(mean))))
        return x * factor


class HighFrequencyBlock(nn.Module):
    """HFPB: x [B, C, H, W] -> [B, C, H, W], with `passes` shared passes at half size (n)."""

    def __init__(self, channels: int, passes: int, reduction: int, slicing: Slicing) -> None:
        super().__init__()
        self.passes = passes
        self.basic = BasicBlock(channels, slicing)
        self.enter = LearnableFeatureBlock(channels, slicing)
        self.upper = LearnableFeatureBlock(channels, slicing)
        self.lower = LearnableFeatureBlock(channels, slicing)
        self.reduce = nn.Conv2d(2 * channels, channels, 1)
        self.attention = ChannelAttention(channels, reduction)
        self.leave = LearnableFeatureBlock(channels, slicing)

    def forward(self, x: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        start = self.basic(x, inverse_scale, channels)
        high = high_frequencies(self.enter(start, inverse_scale, channels))
        small = shrink(high)
        for _ in range(self.passes):
            small = self.lower(small, inverse_scale, channels)
        upper = self.upper(high, inverse_scale, channels)
        reduced = self.attention(self.reduce(torch.cat((upper, enlarge(small, high)), 1)))
        output: Tensor = start + self.leave(reduced, inverse_scale, channels)
        return output


class FPEN(Encoder):
    """A convolution, then `blocks` HFPBs (m); see the module.

    anysr: a `Slicing`, which cuts the channels inside all residual blocks; without it the paper's
    network, of one width.
    """

    def __init__(
        self,
        features: int = 64,
        blocks: int = 3,
        passes: int = 5,
        reduction: int = 16,
        anysr: Mapping[str, Any] | None = None,
    ) -> None:
        slicing = slicing_of(anysr, features)
        # The channel attention's means cover the whole picture.
        super().__init__(features, slicing.widths, halo=None)
        self.entry = nn.Conv2d(COLOURS, features, 3, padding=1)
        self.blocks = nn.ModuleList(
            HighFrequencyBlock(features, passes, reduction, slicing) for _ in range(blocks)
        )

    def forward(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        features: Tensor = self.entry(2 * image - 1)
        for block in self.blocks:
            features = block(features, inverse_scale, channels)
        return features


def high_frequencies(x: Tensor) -> Tensor:
    """Return x minus its local mean (HFAB, Eq. 9): x - bicubic(average(x))."""
    return x - enlarge(shrink(x), x)


def shrink(x: Tensor) -> Tensor:
    """Return the means of POOL x POOL areas: [B, C, H, W] -> [B, C, ceil(H / 2), ceil(W / 2)]."""
    return F.avg_pool2d(extend_to_multiple(x, POOL), POOL)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Undo `shrink` bicubically, to the height and width of `like`."""
    full = F.interpolate(x, scale_factor=float(POOL), mode="bicubic", align_corners=False)
    return full[:, :, : like.shape[2], : like.shape[3]]
