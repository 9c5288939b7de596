"""AnySR's slicing and scale attention (Sec. 3.2 and 3.3), for any residual encoder.

An encoder takes it by building its two convolutions per block as a `ResidualBranch`, or, where its
blocks are of another kind, by `sliced` convolutions and a `ScaleAttention` of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENHANCEMENTS = ("interweaving", "concatenation", "none")

MEAN = (0.4488, 0.4371, 0.4040)
"""DIV2K's mean colour, which the released code subtracts."""


@dataclass(frozen=True)
class Slicing:
    """How an encoder is sliced.

    widths: inner channels, rising to the full ones.
    pairs: lambda of Eq. 6, how often the scale pair is inserted at full width.
    enhancement: "interweaving" (Eq. 6 and 7), or the paper's ablations: "concatenation" of one
        pair at the end (Eq. 5), and "none", which leaves the scale attention out.
    released_quirks: conventions of the released networks beyond the paper, for their weights:
        a trainable mean shift of inputs that are already in [-1, 1], and scales rounded to tenths
        whose pair changes its sign at odd tenths. Their training rounds the requested
        scale, this each axis's ratio of sizes, which on small pictures may be another tenth.
    """

    widths: Sequence[int]
    pairs: int = 4
    enhancement: str = "interweaving"
    released_quirks: bool = False

    def __post_init__(self) -> None:
        if self.enhancement not in ENHANCEMENTS:
            known = ", ".join(ENHANCEMENTS)
            raise ValueError(f"enhancement must be one of {known}; got {self.enhancement!r}")

    @property
    def pooled(self) -> bool:
        """Whether features are averaged over the picture, so that the encoder is not exactly
        local."""
        return self.enhancement != "none"


def slicing_of(anysr: Mapping[str, Any] | None, channels: int) -> Slicing:
    """Return an encoder's slicing from the `anysr` argument of its spec; without one, the full
    width alone. Raises ValueError for widths that do not rise to `channels`."""
    if anysr is None:
        return Slicing((channels,), enhancement="none")
    slicing = Slicing(**anysr)
    if not slicing.widths or slicing.widths[-1] != channels:
        raise ValueError(f"widths must rise to {channels} channels, got {list(slicing.widths)}")
    return slicing


class ScaleAttention(nn.Module):
    """Weights features by their means over the picture and by the scale (Eq. 5 to 7).

    forward: features [B, c, H, W] with c <= channels, inverse_scale [2] -> [B, c, H, W].
    """

    def __init__(self, channels: int, slicing: Slicing) -> None:
        super().__init__()
        if channels % slicing.pairs:
            raise ValueError(f"{slicing.pairs} pairs do not divide {channels} channels")
        self.step = channels // slicing.pairs
        self.interweaves = slicing.enhancement == "interweaving"
        self.quirks = slicing.released_quirks
        pairs = slicing.pairs if self.interweaves else 1
        self.fc1 = nn.Linear(channels + 2 * pairs, 2 * channels)
        self.fc2 = nn.Linear(2 * channels, channels)

    def forward(self, features: Tensor, inverse_scale: Tensor) -> Tensor:
        count = features.shape[1]
        pooled = features.mean((2, 3))
        pair = scale_pair(inverse_scale, self.quirks).to(pooled.dtype)
        woven = interweave(pooled, pair, self.step if self.interweaves else count)
        hidden = F.relu(F.linear(woven, self.fc1.weight[:, : woven.shape[1]], self.fc1.bias))
        gate = torch.sigmoid(F.linear(hidden, self.fc2.weight[:count], self.fc2.bias[:count]))
        return features * gate[:, :, None, None]


def interweave(pooled: Tensor, pair: Tensor, step: int) -> Tensor:
    """Insert `pair` [2] after every `step` of the channels of `pooled` [B, c] (Eq. 6); the
    last channels, if they fill no step, get none."""
    pairs = pair.expand(pooled.shape[0], 2)
    parts = []
    for start in range(0, pooled.shape[1], step):
        chunk = pooled[:, start : start + step]
        parts += [chunk, pairs] if chunk.shape[1] == step else [chunk]
    return torch.cat(parts, 1)


def scale_pair(inverse_scale: Tensor, released_quirks: bool) -> Tensor:
    """Return (s_h, s_w). With the released code's convention they are rounded to tenths, and
    negative if the larger is an odd number of tenths."""
    if not released_quirks:
        return 1 / inverse_scale
    tenths = torch.round(10 / inverse_scale)
    return tenths / 10 * (1 - 2 * torch.remainder(tenths.max(), 2))


def sliced(conv: nn.Conv2d, x: Tensor, outputs: int | None = None) -> Tensor:
    """Apply a convolution's slice: its first c inputs to x [B, c, H, W], and its first `outputs`
    output channels. The weights are views (Sec. 3.2)."""
    bias = conv.bias if conv.bias is None else conv.bias[:outputs]
    weight = conv.weight[:outputs, : x.shape[1]]
    return F.conv2d(x, weight, bias, padding=conv.kernel_size[0] // 2)


class ResidualBranch(nn.Module):
    """The two 3x3 convolutions of a residual block, as AnySR's block has them.

    forward: x [B, C, H, W], inverse_scale [2], width k <= C -> [B, C, H, W], to be added to x.
    The scale attention comes between the first convolution and its ReLU.
    """

    def __init__(self, channels: int, slicing: Slicing, bias: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.attention = ScaleAttention(channels, slicing) if slicing.pooled else None
        if len(slicing.widths) > 1:
            for module in self.modules():
                _start_small(module)

    def forward(self, x: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        inner = sliced(self.conv1, x, channels)
        if self.attention is not None:
            inner = self.attention(inner, inverse_scale)
        return sliced(self.conv2, F.relu(inner))


class MeanShift(nn.Conv2d):
    """Add `sign` times the mean colour, by a 1x1 convolution that is trained like any other."""

    def __init__(self, sign: float) -> None:
        super().__init__(3, 3, 1)
        with torch.no_grad():
            self.weight.copy_(torch.eye(3)[:, :, None, None])
            self.bias_().copy_(sign * torch.tensor(MEAN))

    def bias_(self) -> Tensor:
        """Return the bias [3], which this convolution always has."""
        assert self.bias is not None  # for the type checker
        return self.bias


def _start_small(module: nn.Module) -> None:
    """Initialise as the released blocks: a tenth of Kaiming's normal, biases at zero."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        with torch.no_grad():
            module.weight.mul_(0.1)
            if module.bias is not None:
                module.bias.zero_()
