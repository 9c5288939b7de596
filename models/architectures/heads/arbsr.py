"""ArbSR's plug-in (Wang et al., ICCV 2021) as a head: scale-aware adaption, then upsampling.

Kernels are mixtures of a few experts, weighted by the scale (adaption) or by scale and offset of
each output pixel (upsampling, which also learns where to sample). A mixture's weights are scalars,
so experts are applied first and mixed after: the same output without a kernel per output pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.network import Grid, Head, positions


class ScaleAdaption(nn.Module):
    """features + mask(features) * a convolution whose kernel depends on the scale.

    forward: features [B, C, H, W], inverse_scale [2] -> [B, C, H, W].
    """

    def __init__(self, channels: int, experts: int) -> None:
        super().__init__()
        inner = channels // 4
        self.mask_in = _normed(channels, inner)
        self.mask_low = nn.Sequential(*_normed(inner, inner), *_normed(inner, inner))
        self.mask_out = nn.Sequential(nn.Conv2d(inner, 1, 3, padding=1), nn.BatchNorm2d(1))
        self.route = nn.Sequential(
            nn.Linear(2, channels), nn.ReLU(), nn.Linear(channels, experts), nn.Softmax(-1)
        )
        self.experts = nn.Parameter(torch.empty(experts, channels * channels * 9))
        bound = (9 * channels) ** -0.5  # as every other convolution starts
        nn.init.uniform_(self.experts, -bound, bound)

    def forward(self, features: Tensor, inverse_scale: Tensor) -> Tensor:
        weights = self.route(inverse_scale.to(features.dtype))
        kernel = torch.matmul(weights, self.experts).view(*features.shape[1:2] * 2, 3, 3)
        adapted: Tensor = self._mask(features) * F.conv2d(features, kernel, padding=1)
        return features + adapted

    def _mask(self, features: Tensor) -> Tensor:
        low = F.avg_pool2d(self.mask_in(features), 2, ceil_mode=True, count_include_pad=False)
        whole = F.interpolate(self.mask_low(low), scale_factor=2.0, mode="bilinear")
        whole = whole[:, :, : features.shape[2], : features.shape[3]]
        return torch.sigmoid(self.mask_out(whole))


class ScaleUpsample(nn.Module):
    """Samples features at learned positions around each output pixel, then filters by mixed
    experts.

    forward: features [B, C, H, W] and a grid -> [B, C, Y, X].
    """

    def __init__(self, channels: int, experts: int) -> None:
        super().__init__()
        self.inner = channels // 8
        self.embed = nn.Sequential(
            nn.Linear(4, channels), nn.ReLU(), nn.Linear(channels, channels), nn.ReLU()
        )
        self.route = nn.Sequential(nn.Linear(channels, experts), nn.Sigmoid())
        self.offset = nn.Linear(channels, 2)
        self.compress = nn.Linear(channels, experts * self.inner, bias=False)
        self.expand = nn.Linear(experts * self.inner, channels, bias=False)

    def forward(self, features: Tensor, grid: Grid) -> Tensor:
        row, down = positions(grid.row_offset, grid.row_index)
        column, across = positions(grid.column_offset, grid.column_index)
        known = self.embed(_conditions(grid.condition, down, across).to(features.dtype))
        routes = self.route(known)[..., None]  # [Y, X, experts, 1]
        shift_x, shift_y = self.offset(known).unbind(-1)
        places = torch.stack(
            (
                _centred(column + across + shift_x, features.shape[3]),
                _centred((row + down)[:, None] + shift_y, features.shape[2]),
            ),
            -1,
        ).to(features.dtype)
        places = places.expand(features.shape[0], *places.shape)
        sampled = F.grid_sample(features, places, align_corners=False).permute(0, 2, 3, 1)
        compressed = torch.unflatten(self.compress(sampled), 3, (routes.shape[2], self.inner))
        mixed = (compressed * routes).sum(3, keepdim=True)
        filtered: Tensor = self.expand((mixed * routes).flatten(3)) + sampled
        return filtered.permute(0, 3, 1, 2)


class ArbSR(Head):
    """`adaptions` scale-aware adaptions of the features, upsampling, and a last convolution."""

    tile_output_pixels = 1024 * 1024
    output_halo = 1  # the last convolution's

    def __init__(self, features: int, adaptions: int = 1, experts: int = 4) -> None:
        # Learned offsets have no bound, and masks are computed from pairs of rows and columns.
        super().__init__(halo=None)
        self.adaptions = nn.ModuleList(ScaleAdaption(features, experts) for _ in range(adaptions))
        self.upsample = ScaleUpsample(features, experts)
        self.end = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        for adaption in self.adaptions:
            features = adaption(features, grid.condition)
        colour: Tensor = self.end(self.upsample(features, grid))
        return 0.5 * colour + 0.5


def _conditions(inverse_scale: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return (1/s_w, 1/s_h, d_h, d_w) of each output pixel, [Y, X, 4]."""
    shape = down.shape[0], across.shape[0]
    parts = (inverse_scale[1], inverse_scale[0], down[:, None], across)
    return torch.stack([part.expand(shape) for part in parts], -1)


def _centred(place: Tensor, size: int) -> Tensor:
    """Return positions in grid_sample's coordinates: from -1 at the first pixel's edge to 1 at the
    last one's. `place` is in input pixels, 0 at the first pixel's centre."""
    return (2 * place + 1) / size - 1


def _normed(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )
