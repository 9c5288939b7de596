"""The conditioned network: a trunk cut to a width at run time, and a head for any real scale, for
clean and for damaged pictures.

The idea of width slices of one shared weight set, steered by the scale, is AnySR's (Eq. 4-7). What
differs, so that a narrow width is cheap from end to end:

- A residual block is a chain of four convolutions whose inner channels are cut to a prefix, so a
  width w costs (w + w^2) / 2 of the full one: 0.375 at a half, 0.16 at a quarter. The stream
  between the blocks keeps its width, so one head serves all widths.
- The condition is scale, width and strength (the picture's damage); it is never pooled from
  features, which would make a tile differ from the whole. It enters each block as a bias of its
  first convolution, so it costs next to nothing.
- Trunk and head (`models.architectures.heads.tensor_product`) are exactly local: a tile with a halo
  of `halo` input pixels equals the whole image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.heads.tensor_product import (
    COLOURS,
    TensorProductHead,
    start_convolution,
)
from models.architectures.network import TrunkedNetwork


class ConditionBias(nn.Module):
    """Map the condition and the width to one bias per block and channel.

    forward: condition [3] (1/scale_h, 1/scale_w, strength in [0, 1]), width in (0, 1]
    -> [1, hidden, 1, 1], from which `of_block` computes biases, all zero at the start of training.

    The last layer is one convolution of one pixel per block, not a product for all blocks: its
    result stays in the layout of convolutions, where ONNX Runtime adds it. As the bias of the next
    convolution, which ONNX Runtime expects to be constant, it made that convolution twice as slow.
    """

    def __init__(self, blocks: int, channels: int, hidden: int = 32) -> None:
        super().__init__()
        self.blocks = blocks
        self.hidden = hidden
        self.fc1 = nn.Linear(4, hidden)
        self.fc2 = nn.Linear(hidden, blocks * channels)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, condition: Tensor, width: float) -> Tensor:
        hidden: Tensor = F.relu(self.fc1(F.pad(condition, (0, 1), value=width)))
        return hidden.view(1, self.hidden, 1, 1)

    def of_block(self, hidden: Tensor, block: int, channels: int) -> Tensor:
        """Return the bias that a block adds to its first convolution, [1, channels, 1, 1]."""
        weight = self.fc2.weight.view(self.blocks, -1, self.hidden, 1, 1)[block, :channels]
        bias = self.fc2.bias.view(self.blocks, -1)[block, :channels]
        return F.conv2d(hidden, weight, bias)


class ConditionedBlock(nn.Module):
    """A residual block whose inner channels are cut to a prefix of the shared weights.

    forward: x [B, C, H, W], channels k <= C, further bias [1, k, 1, 1] of the first convolution ->
    [B, C, H, W]. With two convolutions it is the block of AnySR's Eq. 4.
    """

    def __init__(self, channels: int, convolutions: int = 4) -> None:
        super().__init__()
        if convolutions < 2:
            raise ValueError(f"a block has at least 2 convolutions, not {convolutions}")
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(convolutions)
        )
        for conv in self.convolutions:
            assert isinstance(conv, nn.Conv2d)  # for the type checker
            start_convolution(conv, 1.0 if conv is not self.convolutions[-1] else 0.1)

    def forward(self, x: Tensor, channels: int, bias: Tensor) -> Tensor:
        last = len(self.convolutions) - 1
        inner = x
        for place, conv in enumerate(self.convolutions):
            kernel, own = conv.weight, conv.bias
            assert isinstance(kernel, Tensor)  # for the type checker
            assert isinstance(own, Tensor)
            if place > 0:
                kernel = kernel[:, :channels]
            if place < last:
                kernel, own = kernel[:channels], own[:channels]
            inner = F.conv2d(inner, kernel, own, padding=1)
            if place == 0:
                inner = inner + bias
            if place < last:
                inner = F.relu(inner)
        return x + inner


class Conditioned(TrunkedNetwork):
    """The whole network.

    forward: image [B, 3, H, W] in [0, 1], a grid with the condition [3] (1/scale_h, 1/scale_w,
    strength), and the number of inner channels -> [B, 3, Y, X], not clamped. `strength` is the
    image's damage, from 0 (clean) to 1 (JPEG at quality 30, noise, light blur); see
    `models.strength` and `models.training.degradation`.
    """

    if TYPE_CHECKING:
        head: TensorProductHead

    takes_strength = True

    def __init__(
        self,
        channels: int,
        blocks: int,
        basis: int,
        widths: Sequence[int],
        convolutions: int = 4,
    ) -> None:
        super().__init__(widths)
        if self.channels != channels:
            raise ValueError(f"widths must rise to {channels} channels, not {self.channels}")
        self.convolutions = convolutions
        self.entry = nn.Conv2d(COLOURS, channels, 3, padding=1)
        self.condition = ConditionBias(blocks, channels)
        self.blocks = nn.ModuleList(ConditionedBlock(channels, convolutions) for _ in range(blocks))
        self.head = TensorProductHead(channels, basis)

    @property
    def halo(self) -> int:
        """Input pixels around a tile that reach its output: one per 3x3 convolution, and one
        because an output pixel's nearest input pixel may lie across a tile's edge."""
        return self.convolutions * len(self.blocks) + 3

    def trunk(self, image: Tensor, condition: Tensor, channels: int) -> Tensor:
        """Return the features [B, C, H, W] that the head reads; `condition` [3] is the grid's."""
        hidden = self.condition(condition, channels / self.channels)
        features: Tensor = self.entry(image - 0.5)
        for position, block in enumerate(self.blocks):
            bias = self.condition.of_block(hidden, position, channels)
            features = block(features, channels, bias)
        return features
