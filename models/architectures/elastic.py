"""The elastic network: a trunk cut to a width at run time, and a head for any real scale.

The idea of width slices of one shared weight set, steered by the scale, is AnySR's (Eq. 4-7);
what differs, so that a narrow width is cheap from end to end:

- The gate depends on scale and width alone, never on pooled features, so the network is
  exactly local: a tile with a halo of `halo` input pixels equals the whole image.
- The head is a tensor-product basis. Every input pixel carries basis x basis coefficients per
  colour; the output pixel at offset (dy, dx) from it is sum_ij a_i(dy) b_j(dx) F_ij, with the
  functions a and b given by two small MLPs of offset and 1/scale. It is MetaSR's weight
  prediction re-associated (its last layer is linear) with a separable kernel, so it costs
  `basis` multiply-adds per output value and direction.
- The first three functions start as 1, d and |d|, which span the bilinear kernel, and the
  image enters the coefficients through a convolution that starts as bilinear interpolation:
  the skip connection rides in the same basis and costs nothing at output resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.network import Head, TrunkedNetwork

COLOURS = 3


class ScaleGate(nn.Module):
    """Map scale and width to one positive factor per gated block and channel.

    forward: inverse_scale [2] (1/scale_h, 1/scale_w), width in (0, 1] -> [gates, channels],
    each in (0, 2) and 1 at the start of training.
    """

    def __init__(self, gates: int, channels: int, hidden: int = 16) -> None:
        super().__init__()
        self.gates = gates
        self.fc1 = nn.Linear(3, hidden)
        self.fc2 = nn.Linear(hidden, gates * channels)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, inverse_scale: Tensor, width: float) -> Tensor:
        condition = F.pad(inverse_scale, (0, 1), value=width)
        gate = 2.0 * torch.sigmoid(self.fc2(F.relu(self.fc1(condition))))
        return gate.view(self.gates, -1)


class ElasticBlock(nn.Module):
    """A residual block whose inner channels are cut to a prefix of the shared weights.

    forward: x [B, C, H, W], channels k <= C, gate [C] or None -> [B, C, H, W] (AnySR Eq. 4).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        _start_small(self.conv1, 0.7)
        _start_small(self.conv2, 0.1)

    def forward(self, x: Tensor, channels: int, gate: Tensor | None) -> Tensor:
        bias = self.conv1.bias
        assert bias is not None  # for the type checker: the convolution is built with a bias
        inner = F.conv2d(x, self.conv1.weight[:channels], bias[:channels], padding=1)
        if gate is not None:
            inner = inner * gate[:channels].view(1, -1, 1, 1)
        return x + F.conv2d(
            F.relu(inner), self.conv2.weight[:, :channels], self.conv2.bias, padding=1
        )


class OffsetBasis(nn.Module):
    """The functions of one axis: offset [n, slots], 1/scale [] -> values [n, slots, basis].

    The fixed part (1, d, |d|, then zeros) spans bilinear interpolation; the MLP starts at
    zero and learns what to add for each offset and scale.
    """

    def __init__(self, basis: int, hidden: int = 16) -> None:
        super().__init__()
        self.basis = basis
        self.fc1 = nn.Linear(3, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, basis)
        nn.init.zeros_(self.fc3.weight)
        nn.init.zeros_(self.fc3.bias)

    def forward(self, offset: Tensor, inverse_scale: Tensor) -> Tensor:
        inputs = torch.stack((offset, offset.abs(), inverse_scale.expand_as(offset)), -1)
        learned: Tensor = self.fc3(F.relu(self.fc2(F.relu(self.fc1(inputs)))))
        fixed = torch.stack((torch.ones_like(offset), offset, offset.abs()), -1)
        return learned + F.pad(fixed, (0, self.basis - 3))


class TensorProductHead(Head):
    """Features and image to the output at any real scale, by a separable basis of offsets."""

    def __init__(self, channels: int, basis: int) -> None:
        super().__init__(halo=2)  # its convolution, and the nearest pixel across a tile's edge
        if basis < 3:
            raise ValueError(f"basis must be at least 3 (1, d and |d|), got {basis}")
        self.basis = basis
        self.coefficients = nn.Conv2d(channels, basis * basis * COLOURS, 3, padding=1)
        self.skip = nn.Conv2d(COLOURS, basis * basis * COLOURS, 3, bias=False)
        self.rows = OffsetBasis(basis)
        self.columns = OffsetBasis(basis)
        _start_small(self.coefficients, 0.1)
        with torch.no_grad():
            self.skip.weight.copy_(bilinear_coefficients(basis))

    def forward(
        self,
        features: Tensor,
        image: Tensor,
        inverse_scale: Tensor,
        row_offset: Tensor,
        row_index: Tensor,
        column_offset: Tensor,
        column_index: Tensor,
    ) -> Tensor:
        edged = F.pad(image, (1, 1, 1, 1), mode="replicate")
        field = self.coefficients(features) + self.skip(edged)
        batch, _, height, width = field.shape
        r, colours = self.basis, image.shape[1]
        a = self.rows(row_offset, inverse_scale[0])  # [H, slots, r]
        b = self.columns(column_offset, inverse_scale[1])  # [W, slots, r]
        # Rows: [B, H, slots, r] @ [B, H, r, (j c W)], then keep the slots that exist.
        field = field.view(batch, r, r * colours, height, width).permute(0, 3, 1, 2, 4)
        rows = torch.matmul(a, field.reshape(batch, height, r, r * colours * width))
        rows = rows.reshape(batch, -1, r * colours * width).index_select(1, row_index)
        # Columns likewise. Two simple transposes are several times faster in ONNX Runtime
        # than the one general permutation [Y, j, c, W] -> [W, j, c, Y].
        rows = rows.transpose(1, 2).reshape(batch, r * colours, width, -1).permute(0, 2, 1, 3)
        pixels = torch.matmul(b, rows.reshape(batch, width, r, -1))
        pixels = pixels.reshape(batch, -1, pixels.shape[-1]).index_select(1, column_index)
        pixels = pixels.view(batch, column_index.shape[0], colours, row_index.shape[0])
        return pixels.permute(0, 2, 3, 1)


class ElasticTrunk:
    """The trunk, for a module that is to have its parts among its own."""

    if TYPE_CHECKING:
        channels: int

    def build(self, channels: int, blocks: int, gate_every: int) -> None:
        """Make the parts. ValueError when the module's widths do not rise to `channels`."""
        if self.channels != channels:
            raise ValueError(f"widths must rise to {channels} channels, not {self.channels}")
        self.gate_every = gate_every
        self.entry = nn.Conv2d(COLOURS, channels, 3, padding=1)
        self.gate = ScaleGate(len(range(0, blocks, gate_every)), channels)
        self.blocks = nn.ModuleList(ElasticBlock(channels) for _ in range(blocks))

    def trunk(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        """Return the features [B, C, H, W] that the head reads."""
        gates = self.gate(inverse_scale, channels / self.channels)
        features: Tensor = self.entry(image - 0.5)
        for position, block in enumerate(self.blocks):
            gated = position % self.gate_every == 0
            gate = gates[position // self.gate_every] if gated else None
            features = block(features, channels, gate)
        return features


class Elastic(ElasticTrunk, TrunkedNetwork):
    """The whole network.

    forward: image [B, 3, H, W] in [0, 1], the sampling positions of `models.geometry` for rows
    and columns, and the number of inner channels -> [B, 3, Y, X], not clamped.
    """

    if TYPE_CHECKING:
        head: TensorProductHead

    def __init__(
        self,
        channels: int,
        blocks: int,
        basis: int,
        widths: Sequence[int],
        gate_every: int = 2,
    ) -> None:
        super().__init__(widths)
        self.build(channels, blocks, gate_every)
        self.head = TensorProductHead(channels, basis)

    @property
    def halo(self) -> int:
        """Input pixels around a tile that reach its output: one per 3x3 convolution, and one
        because an output pixel's nearest input pixel may lie across a tile's edge."""
        return 2 * len(self.blocks) + 3


def bilinear_coefficients(basis: int) -> Tensor:
    """Return the kernel [3 basis^2, 3, 3, 3] that makes bilinear interpolation of the image.

    In the functions (1, d, |d|) the bilinear weights of the neighbours at -1, 0 and +1 are
    (|d| - d) / 2, 1 - |d| and (|d| + d) / 2.
    """
    axis = torch.zeros(basis, 3)
    axis[0] = torch.tensor([0.0, 1.0, 0.0])
    axis[1] = torch.tensor([-0.5, 0.0, 0.5])
    axis[2] = torch.tensor([0.5, -1.0, 0.5])
    spatial = torch.einsum("iy,jx->ijyx", axis, axis)
    kernel = torch.einsum("ijyx,cd->ijcdyx", spatial, torch.eye(COLOURS))
    return kernel.reshape(basis * basis * COLOURS, COLOURS, 3, 3)


def _start_small(conv: nn.Conv2d, gain: float) -> None:
    nn.init.kaiming_normal_(conv.weight)
    with torch.no_grad():
        conv.weight.mul_(gain)
        if conv.bias is not None:
            conv.bias.zero_()
