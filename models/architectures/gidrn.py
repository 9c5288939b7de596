"""G-IDRN: a group-information distillation residual network (Wang et al., Acta Automatica Sinica
2024, 50(10)), x2, x3 and x4.

A fine path of distillation blocks, joined by weighted dense shortcuts and closed by a non-local
block whose keys are 110 pooled points, and a coarse path of a single convolution of the image;
both end in a sub-pixel shuffle and are added (dual reconstruction, Eq. 3-4). No code is public:
every choice that the paper leaves open is in docs/models/gidrn.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.channel_statistics import ChannelNetwork, spatial_moments
from models.architectures.fixed_scale import FixedScale, cubic

SLOPE = 0.05
"""Of the leaky ReLU (section 3.2)."""
POOLED_SIDES = (1, 3, 6, 8)
"""Sides of the pooled maps that keys and values come from: S = 1 + 9 + 36 + 64 = 110 points."""
SCALES = (2, 3, 4)


class DistillationStep(nn.Module):
    """A grouped separable convolution (LSRB): x [B, C, H, W] -> the part that the block keeps and
    the input of the next step, both [B, C, H, W]."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.grouped = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept = F.leaky_relu(self.pointwise(x), SLOPE)
        return kept, F.leaky_relu(self.grouped(kept) + x, SLOPE)


class DistillationBlock(nn.Module):
    """A group-information distillation block (G-IDB, Fig. 4b): [B, C, H, W] to the same."""

    def __init__(self, channels: int, group_channels: int, steps: int, reduction: int) -> None:
        super().__init__()
        groups = channels // group_channels
        self.steps = nn.ModuleList(DistillationStep(channels, groups) for _ in range(steps))
        self.last = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)
        self.fuse = nn.Conv2d((steps + 1) * channels, channels, 1)
        self.gate = ChannelNetwork(channels, channels // reduction)
        self.shortcut = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        kept, passed = [], x
        for step in self.steps:
            part, passed = step(passed)
            kept.append(part)
        kept.append(F.leaky_relu(self.last(passed), SLOPE))
        fused: Tensor = self.fuse(torch.cat(kept, 1))
        # Contrast-aware attention (IMDN): mean and deviation of each channel.
        mean, deviation = spatial_moments(fused, epsilon=1e-12)
        return fused * torch.sigmoid(self.gate(mean + deviation)) + self.shortcut * x


class DenseShortcuts(nn.Module):
    """A chain of modules with learned, weighted shortcuts from all earlier inputs (DS).

    With x_1 the input, x_(j+1) = f_j(x_j) + sum_(i<j) w_i^j x_i. `weights` holds w_i^j in the
    order (1, 2), (1, 3), (2, 3); they start at 0, as a plain chain.
    """

    def __init__(self, row: Iterable[nn.Module]) -> None:
        super().__init__()
        self.row = nn.ModuleList(row)
        self.pairs = list(combinations(range(len(self.row)), 2))
        self.weights = nn.Parameter(torch.zeros(len(self.pairs)))

    def forward(self, x: Tensor) -> Tensor:
        inputs: list[Tensor] = []
        for j, module in enumerate(self.row):
            inputs.append(x)
            x = module(x)
            for place, (i, later) in enumerate(self.pairs):
                if later == j:
                    x = x + self.weights[place] * inputs[i]
        return x


class NonLocalBlock(nn.Module):
    """Attention of every pixel to 110 pooled points of the picture (ANRB, Eq. 7-10): [B, C, H, W]
    to the same. Queries, keys and values have one channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, 1, 1)
        self.key = nn.Conv2d(channels, 1, 1)
        self.value = nn.Conv2d(channels, 1, 1)
        self.expand = nn.Conv2d(1, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        query: Tensor = self.query(x)
        points = pooled_points(torch.cat((self.key(x), self.value(x)), 1))
        keys, values = points[:, :1], points[:, 1:]  # [B, 1, S]
        likeness = query.flatten(2).transpose(1, 2) @ keys  # [B, H W, S]
        seen = torch.softmax(likeness, -1) @ values.transpose(1, 2)
        expanded: Tensor = self.expand(seen.transpose(1, 2).reshape(query.shape))
        return expanded + x


class GIDRN(FixedScale):
    """The whole network: `groups` (G-IDRG) of `blocks` blocks of `steps` steps each.

    `group_channels` (m) is the number of channels in each group of a grouped convolution. Not
    exactly local: channel attention and the non-local block read the whole picture. Raises
    ValueError for a scale that is not 2, 3 or 4.
    """

    def __init__(
        self,
        scale: int,
        channels: int = 72,
        group_channels: int = 8,
        groups: int = 3,
        blocks: int = 3,
        steps: int = 3,
        reduction: int = 4,
    ) -> None:
        if scale not in SCALES:
            raise ValueError(f"G-IDRN enlarges 2, 3 or 4 times, not {scale}")
        super().__init__(scale, channels)
        self.entry = nn.Conv2d(3, channels, 3, padding=1)
        self.body = DenseShortcuts(
            DenseShortcuts(
                DistillationBlock(channels, group_channels, steps, reduction) for _ in range(blocks)
            )
            for _ in range(groups)
        )
        self.non_local = NonLocalBlock(channels)
        self.fine = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)
        self.coarse = nn.Conv2d(3, 3 * scale**2, 5, padding=2, padding_mode="replicate")
        self._start_as_bicubic()

    @property
    def halo(self) -> None:
        return None

    def enlarge(self, image: Tensor) -> Tensor:
        fine = self.fine(self.non_local(self.body(self.entry(image))))
        coarse: Tensor = self.coarse(image)
        return F.pixel_shuffle(fine, self.scale) + F.pixel_shuffle(coarse, self.scale)

    @torch.no_grad()
    def _start_as_bicubic(self) -> None:
        """Start the coarse path as bicubic interpolation and the fine one near zero."""
        self.coarse.weight.copy_(bicubic_kernels(self.scale))
        self.fine.weight.mul_(0.1)
        for conv in (self.coarse, self.fine):
            assert conv.bias is not None  # for the type checker: both are built with a bias
            conv.bias.zero_()


def pooled_points(features: Tensor) -> Tensor:
    """Return [B, C, S]: `features` [B, C, H, W] average-pooled to each of `POOLED_SIDES`, row by
    row, one after the other. Bins are those of adaptive pooling: they may overlap by a pixel."""
    height, width = features.shape[2:]
    rows, columns = _pooling_matrix(height, features), _pooling_matrix(width, features)
    every = rows @ features @ columns.transpose(0, 1)  # each side's rows by each side's columns
    pooled, start = [], 0
    for side in POOLED_SIDES:
        own = slice(start, start + side)
        pooled.append(every[:, :, own, own].flatten(2))
        start += side
    return torch.cat(pooled, 2)


def _pooling_matrix(size: int, like: Tensor) -> Tensor:
    """Return [sum of sides, size] that averages an axis: for each side, bin i of the pixels from
    floor(i size / side) to ceil((i + 1) size / side)."""
    bins = torch.tensor([[i, side] for side in POOLED_SIDES for i in range(side)])
    bins = bins.to(like.device)
    number, side = bins[:, :1], bins[:, 1:]
    pixel = torch.arange(size, device=like.device)
    # Pixel p is in bin i when p + 1 > i size / side and p < (i + 1) size / side.
    inside = ((pixel + 1) * side > number * size) & (pixel * side < (number + 1) * size)
    weights: Tensor = inside.to(like.dtype)
    return weights / weights.sum(1, keepdim=True)


def bicubic_kernels(scale: int) -> Tensor:
    """Return [3 scale^2, 3, 5, 5]: the convolution that is bicubic interpolation once its output
    is shuffled."""
    phase = (torch.arange(scale) + 0.5) / scale - 0.5
    axis = cubic(torch.arange(-2.0, 3.0) - phase[:, None])
    kernels = torch.einsum("iy,jx,cd->cijdyx", axis, axis, torch.eye(3))
    return kernels.reshape(3 * scale**2, 3, 5, 5)
