"""CiaoSR's scale-aware non-local branch (Eq. 7-8), after cross-scale non-local attention (CSNLN).

Every pixel's 3x3 patch is compared with the 3x3 patches of the map at half size; the 6x6 patches
of the map at full size that those cover are mixed by the softmax of the similarities, overlapped
and added at twice the size, and convolved back down. It finds structures that recur at a larger
size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.chunks import in_chunks
from models.architectures.windows import (
    extend_to_multiple,
    join_windows,
    split_windows,
    window_sides,
)

PATCH = 3
SCALE = 2
SHARPNESS = 10.0
"""Factor on the similarities before the softmax (CSNLN's softmax_scale)."""
SMALLEST_NORM = 1e-4
OVERLAP = 6.0
"""Divisor of sums of overlapping patches (CSNLN), although 9 of them overlap."""
LIKENESSES = 1 << 24
"""Entries of the attention map that exist at once."""


class CrossScaleAttention(nn.Module):
    """forward: features [B, C, H, W] -> non-local features [B, C, H, W].

    Each window of `window` x `window` pixels is treated as a map of its own, so that memory and
    work per pixel are bounded; None compares with the whole map, at O((H W)^2 / 4).
    """

    def __init__(self, channels: int = 64, window: int | None = 48, reduction: int = 2) -> None:
        """Raises ValueError for a window that is not even."""
        super().__init__()
        if window is not None and (window < SCALE or window % SCALE):
            raise ValueError(f"window must be a positive even number, got {window}")
        self.window = window
        self.conv_match_1 = _embedding(channels, channels // reduction)
        self.conv_match_2 = _embedding(channels, channels // reduction)
        self.conv_assembly = _embedding(channels, channels)
        self.down = nn.Conv2d(channels, channels, 3, stride=SCALE, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        even = extend_to_multiple(features, SCALE, reflect=True)
        high, wide = window_sides(self.window, even.shape[2], even.shape[3])
        inside = torch.ones_like(even[:, :1])
        windows = split_windows(even, high, wide), split_windows(inside, high, wide)
        at_once = LIKENESSES * SCALE**2 // (high * wide) ** 2 if self.window else 1
        mixed = in_chunks(self._mix, windows, at_once)
        return join_windows(mixed, batch, height, width)

    def _mix(self, features: Tensor, inside: Tensor) -> Tensor:
        """Return one result [N, C, h, w] per window; `inside` [N, 1, h, w] is 0 beyond the map."""
        _, _, high, wide = features.shape
        query = F.unfold(self.conv_match_1(features) * inside, PATCH, padding=1)
        # Halving bilinearly without antialiasing is the mean of two by two.
        half, half_inside = F.avg_pool2d(features, SCALE), F.avg_pool2d(inside, SCALE)
        key = F.unfold(self.conv_match_2(half) * half_inside, PATCH, padding=1)
        key = key / torch.linalg.vector_norm(key, dim=1, keepdim=True).clamp(min=SMALLEST_NORM)
        assembly = F.pad(self.conv_assembly(features) * inside, (SCALE,) * 4)
        value = F.unfold(assembly, SCALE * PATCH, stride=SCALE)  # [N, C 6 6, keys]
        absent = half_inside.flatten(2) == 0  # [N, 1, keys]

        def attend(rows: Tensor) -> Tensor:  # [queries, N, C 3 3]
            likeness = SHARPNESS * torch.matmul(rows.transpose(0, 1), key)
            share = torch.softmax(likeness.masked_fill(absent, -torch.inf), dim=-1)
            return torch.matmul(share, value.transpose(1, 2)).transpose(0, 1)

        queries = query.permute(2, 0, 1)
        if self.window is None:
            at_once = LIKENESSES // (len(key) * key.shape[2])
            patches = in_chunks(attend, (queries,), at_once)
        else:
            patches = attend(queries)
        patches = patches.permute(1, 2, 0) * inside.flatten(2)  # [N, C 6 6, queries]
        twice = (SCALE * high, SCALE * wide)
        laid = F.fold(patches, twice, SCALE * PATCH, stride=SCALE, padding=SCALE)
        output: Tensor = self.down(laid) / OVERLAP
        return output


def _embedding(channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, outputs, 1), nn.PReLU())
