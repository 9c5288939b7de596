"""The parts of channel attention: each channel's moments, and a small network over channels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNetwork(nn.Module):
    """Channels to channels through a narrow middle: statistics [B, C, 1, 1] -> [B, C, 1, 1]."""

    def __init__(self, channels: int, hidden: int, bias: bool = True) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=bias)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, statistics: Tensor) -> Tensor:
        output: Tensor = self.fc2(F.relu(self.fc1(statistics)))
        return output


def spatial_moments(
    features: Tensor, epsilon: float, unbiased: bool = False
) -> tuple[Tensor, Tensor]:
    """Return each channel's mean and sqrt(variance + epsilon) over [B, C, H, W], as [B, C, 1, 1].

    An unbiased variance divides by H W - 1; that of a single pixel is 0.
    """
    mean = features.mean((2, 3), keepdim=True)
    variance = (features - mean).square().mean((2, 3), keepdim=True)
    if unbiased:
        # A tensor, so that an exported graph computes it for each input size.
        count = features.new_full((), features.shape[2] * features.shape[3])
        variance = variance * (count / (count - 1).clamp(min=1))
    return mean, (variance + epsilon).sqrt()
