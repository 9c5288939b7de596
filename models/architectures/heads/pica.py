"""Pixel Continuity Attention (PiCA, FPEN Eq. 10-12), before any head.

Every pixel attends to similar pixels. Two maps hold the similarities: of the features (NSSM) and of
their embeddings. A 1x1 convolution weighs the two maps against each other, and a softmax turns the
sum into one map.

Over a whole picture the maps have a number for each pair of pixels, which is 3e10 for 510 x 340.
Here each window of `window` x `window` pixels attends to itself: the default
windows are as large as the training patches, so training is the paper's formula and serving does
what was trained.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.architectures.chunks import in_chunks
from models.architectures.network import Grid, Head
from models.architectures.windows import join_windows, split_windows, window_sides

PAIRS = 1 << 23
"""Entries of one attention map that exist at once."""


class PixelContinuityAttention(nn.Module):
    """forward: features [B, C, H, W] -> enhanced features [B, C, H, W].

    `inner` is the number of channels of the embeddings; `window` None attends to everything.
    """

    def __init__(self, features: int, inner: int = 32, window: int | None = 48) -> None:
        """Raises ValueError for an empty window."""
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        self.window = window
        self.theta = nn.Conv2d(features, inner, 1)
        self.phi = nn.Conv2d(features, inner, 1)
        self.g = nn.Conv2d(features, inner, 1)
        # A bias would add the same to all inputs of a softmax.
        self.rho = nn.Conv2d(2, 1, 1, bias=False)
        self.restore = nn.Conv2d(inner, features, 1)
        # A pixel with all of one map's mass then starts with half of the sum's, not 1 / P of it.
        nn.init.constant_(self.rho.weight, math.log((window or 48) ** 2))
        for parameter in self.restore.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        high, wide = window_sides(self.window, height, width)
        inside = torch.ones_like(features[:, :1])
        windows = split_windows(features, high, wide), split_windows(inside, high, wide)
        at_once = PAIRS // (high * wide) ** 2 if self.window else 1
        gathered = in_chunks(self._gather, windows, at_once)
        output: Tensor = features + self.restore(join_windows(gathered, batch, height, width))
        return output

    def _gather(self, features: Tensor, inside: Tensor) -> Tensor:
        """Return Z' [N, inner, h, w] of windows; `inside` [N, 1, h, w] is 0 beyond the picture."""
        count, _, high, wide = features.shape
        absent = inside.reshape(count, 1, high * wide) == 0
        pixels = features.flatten(2)  # [N, C, P]
        theta, phi, g = (f(features).flatten(2) for f in (self.theta, self.phi, self.g))
        maps = [_share(_pairs(a, b), absent) for a, b in ((pixels, pixels), (theta, phi))]
        weight = self.rho.weight.flatten()
        share = _share(weight[0] * maps[0] + weight[1] * maps[1], absent)  # [N, P, P]
        return _pairs(g.transpose(1, 2), share.transpose(1, 2)).reshape(count, -1, high, wide)


def _pairs(a: Tensor, b: Tensor) -> Tensor:
    """Return the inner products of columns: [N, D, P], [N, D, Q] -> [N, P, Q]."""
    return torch.matmul(a.transpose(1, 2), b)


def _share(likeness: Tensor, absent: Tensor) -> Tensor:
    return torch.softmax(likeness.masked_fill(absent, -torch.inf), dim=-1)


class PixelContinuityHead(Head):
    """Any head behind PiCA."""

    def __init__(self, features: int, head: Head, inner: int = 32, window: int | None = 48) -> None:
        super().__init__(halo=None)
        self.tile_output_pixels = head.tile_output_pixels
        self.output_halo = head.output_halo
        self.attention = PixelContinuityAttention(features, inner, window)
        self.head = head

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        output: Tensor = self.head(self.attention(features), image, grid)
        return output
