"""DeFiAN: a detail-fidelity attention network (Huang et al., IEEE TIP 2021), x2, x3 and x4.

Each stage refines features by residual channel-attention blocks and adds the refinement where
the picture has detail: the largest eigenvalues of its Hessian at three scales (Eq. 12), read by
a dilated encoder and decoder, and aligned to the distribution of the stage's input (Eq. 20-22).

Choices that the paper leaves open, and differences of the released code: docs/models/defian.md.
With `released_quirks` the network computes what public checkpoints were trained for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.channel_statistics import ChannelNetwork, spatial_moments
from models.architectures.fixed_scale import FixedScale

SMALL = {"channels": 32, "modules": 5, "blocks": 10}
"""DeFiAN-S (section IV-B)."""
LARGE = {"channels": 64, "modules": 10, "blocks": 20}
"""DeFiAN-L."""

HORIZONTAL = ((0.0, 0.0, 0.0), (1.0, -2.0, 1.0), (0.0, 0.0, 0.0))
VERTICAL = ((0.0, 1.0, 0.0), (0.0, -2.0, 0.0), (0.0, 1.0, 0.0))
MIXED = ((1.0, 0.0, -1.0), (0.0, 0.0, 0.0), (-1.0, 0.0, 1.0))
"""Kernels of the second derivatives (Eq. 9)."""
DILATIONS = (1, 2, 3)
"""Of the Hessian filters: kernels of 3, 5 and 7 pixels (Eq. 14, 16)."""
CODER_DILATIONS = (1, 2, 4)

SHUFFLES = {2: (2,), 3: (3,), 4: (2, 2)}
"""The steps of the upscaler by scale."""
REDUCTION = 16

DIV2K_MEAN, ONE = (0.4488, 0.4371, 0.4040), (1.0, 1.0, 1.0)
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Colour statistics of [0, 1]: the paper takes the training pictures' mean, its code these."""


class AttentionBlock(nn.Module):
    """A residual block with channel attention (RCAB): x + f(x) gate(mean of f(x)), Eq. 7."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.gate = ChannelNetwork(channels, _hidden(channels))

    def forward(self, x: Tensor) -> Tensor:
        refined: Tensor = self.conv2(F.relu(self.conv1(x)))
        gate = torch.sigmoid(self.gate(refined.mean((2, 3), keepdim=True)))
        return x + refined * gate


class HessianFilter(nn.Module):
    """The larger eigenvalue of each channel's Hessian at one scale (Eq. 12): [B, C, H, W] to
    the same; pixels outside the picture count as 0.

    Its derivatives are fixed. They are parameters, without gradients, because the paper counts
    them and public checkpoints hold them. `epsilon` keeps the root's gradient finite where a
    picture is flat.
    """

    def __init__(self, channels: int, dilation: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.horizontal = _derivative(channels, dilation, HORIZONTAL)
        self.vertical = _derivative(channels, dilation, VERTICAL)
        self.mixed = _derivative(channels, dilation, MIXED)

    def forward(self, features: Tensor) -> Tensor:
        hh, vv, hv = self.horizontal(features), self.vertical(features), self.mixed(features)
        spread = ((hh - vv).square() + 4 * hv.square() + self.epsilon).sqrt()
        eigenvalue: Tensor = (hh + vv + spread) / 2
        return eigenvalue


class DilatedCoder(nn.Module):
    """Dilated encoder and decoder at full resolution (DiEnDec): [B, C, H, W] -> [B, 1, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            nn.Conv2d(channels << step, channels << step + 1, 3, padding=d, dilation=d)
            for step, d in enumerate(CODER_DILATIONS)
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(channels << step + 1, channels << step, 3, padding=d, dilation=d)
            for step, d in reversed(list(enumerate(CODER_DILATIONS)))
        )
        self.gate = nn.Conv2d(channels, 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        for layer in self.encoder:
            maps = F.relu(layer(maps))
        for layer in self.decoder:
            maps = F.relu(layer(maps))
        attention: Tensor = self.gate(maps)
        return attention


class DistributionAlignment(nn.Module):
    """One map, spread over channels with moments that follow the reference's (DAC, Eq. 20-22).

    forward: observed [B, 1, H, W], reference [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.mean = ChannelNetwork(channels, _hidden(channels), bias=False)
        self.deviation = ChannelNetwork(channels, _hidden(channels), bias=False)

    def forward(self, observed: Tensor, reference: Tensor) -> Tensor:
        mean, deviation = spatial_moments(observed, self.epsilon, unbiased=True)
        target_mean, target_deviation = spatial_moments(reference, self.epsilon, unbiased=True)
        spread: Tensor = self.deviation(target_deviation)
        shift: Tensor = self.mean(target_mean)
        return (observed - mean) / deviation * spread + shift


class Stage(nn.Module):
    """One detail-fidelity attention module (DeFiAM, Eq. 6): [B, C, H, W] to the same."""

    def __init__(self, channels: int, blocks: int, epsilon: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(channels) for _ in range(blocks))
        self.hessian = nn.ModuleList(HessianFilter(channels, d, epsilon) for d in DILATIONS)
        self.coder = DilatedCoder(len(DILATIONS))
        self.alignment = DistributionAlignment(channels)

    def forward(self, x: Tensor) -> Tensor:
        refined: Tensor = x
        for block in self.blocks:
            refined = block(refined)
        details: list[Tensor] = [
            scale(refined).mean(1, keepdim=True) for scale in self.hessian
        ]  # Eq. 18
        attention = self.alignment(self.coder(torch.cat(details, 1)), x)
        return x + refined * torch.sigmoid(attention)


class DeFiAN(FixedScale):
    """The whole network; `modules` (N) of `blocks` (M) blocks each.

    Not exactly local: its channel attention and its alignment read the whole picture.
    Raises ValueError for a scale that is not 2, 3 or 4.
    """

    colour_mean: Tensor
    colour_deviation: Tensor

    def __init__(
        self,
        scale: int,
        channels: int = 32,
        modules: int = 5,
        blocks: int = 10,
        released_quirks: bool = False,
    ) -> None:
        if scale not in SHUFFLES:
            raise ValueError(f"DeFiAN enlarges 2, 3 or 4 times, not {scale}")
        super().__init__(scale, channels)
        mean, deviation = (
            (IMAGENET_MEAN, IMAGENET_DEVIATION) if released_quirks else (DIV2K_MEAN, ONE)
        )
        self.register_buffer("colour_mean", _per_colour(mean), persistent=False)
        self.register_buffer("colour_deviation", _per_colour(deviation), persistent=False)
        epsilon = 0.0 if released_quirks else 1e-12
        self.entry = nn.Conv2d(3, channels, 3, padding=1)
        self.stages = nn.ModuleList(Stage(channels, blocks, epsilon) for _ in range(modules))
        self.tail = nn.Conv2d(channels, channels, 3, padding=1)
        self.upscaler = nn.ModuleList(
            nn.Conv2d(channels, channels * step**2, 3, padding=1, bias=False)
            for step in SHUFFLES[scale]
        )
        self.exit = nn.Conv2d(channels, 3, 3, padding=1)

    @property
    def halo(self) -> None:
        return None

    def features(self, image: Tensor) -> Tensor:
        """Return what the upscaler reads, [B, C, H, W], of an image [B, 3, H, W] in [0, 1]."""
        entered: Tensor = self.entry((image - self.colour_mean) / self.colour_deviation)
        x = entered
        for stage in self.stages:
            x = stage(x)
        deep: Tensor = self.tail(x)
        return entered + deep

    def enlarge(self, image: Tensor) -> Tensor:
        x = self.features(image)
        for conv, step in zip(self.upscaler, SHUFFLES[self.scale], strict=True):
            x = F.pixel_shuffle(conv(x), step)
        large: Tensor = self.exit(x) * self.colour_deviation + self.colour_mean
        return large


def _hidden(channels: int) -> int:
    return max(1, channels // REDUCTION)


def _derivative(channels: int, dilation: int, kernel: tuple[tuple[float, ...], ...]) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels)
    assert conv.bias is not None  # for the type checker: the convolution is built with a bias
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(kernel).expand_as(conv.weight))
        conv.bias.zero_()
    return conv.requires_grad_(False)


def _per_colour(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1)
