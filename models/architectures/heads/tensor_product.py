"""The head of the conditioned network: a tensor-product basis of offsets, for any real scale.

Every input pixel carries basis x basis coefficients per colour; the output pixel at offset (dy, dx)
from it is sum_ij a_i(dy) b_j(dx) F_ij, with the functions a and b given by two small MLPs of offset
and 1/scale. It is MetaSR's weight prediction re-associated (its last layer is linear) with a
separable kernel, so it costs `basis` multiply-adds per output value and direction.

- It is exactly local: an output pixel reads the coefficients of its nearest input pixel alone, and
  those come from 3x3 convolutions of features and image.
- The first three functions start as 1, d and |d|, which span the bilinear kernel, and the image
  enters the coefficients through a convolution that starts as bilinear interpolation: the skip
  connection uses the same basis and costs nothing at output resolution. That convolution is the
  head's own, or three channels of the features are the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.network import Grid, Head

COLOURS = 3


class OffsetBasis(nn.Module):
    """The functions of one axis: offset [n, slots], 1/scale [] -> values [n, slots, basis].

    The fixed part (1, d, |d|, then zeros) spans bilinear interpolation, in two functions a straight
    line for each input pixel; the MLP starts at zero and learns the difference for each offset
    and scale.
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
        return learned + F.pad(fixed[..., : self.basis], (0, max(0, self.basis - 3)))


class TensorProductHead(Head):
    """Features and image to the output at any real scale, by a separable basis of offsets.

    forward: as for heads, with features [B, channels, H, W]; `basis`, at least 2, is the number of
    functions per axis. It reads at most 2 input pixels around a tile. Without `skip` the first
    three features are the image, or start as it.
    """

    def __init__(self, channels: int, basis: int, skip: bool = True) -> None:
        """Raises ValueError for a basis below 2."""
        super().__init__(halo=2)  # its convolution, and the nearest pixel across a tile's edge
        if basis < 2:
            raise ValueError(f"basis must be at least 2 (1 and d), got {basis}")
        self.basis = basis
        self.coefficients = nn.Conv2d(channels, basis * basis * COLOURS, 3, padding=1)
        self.skip = nn.Conv2d(COLOURS, basis * basis * COLOURS, 3, bias=False) if skip else None
        self.rows = OffsetBasis(basis)
        self.columns = OffsetBasis(basis)
        start_convolution(self.coefficients, 0.1)
        bilinear = bilinear_coefficients(basis)
        with torch.no_grad():
            if self.skip is not None:
                self.skip.weight.copy_(bilinear)
            else:
                self.coefficients.weight[:, :COLOURS] += bilinear

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        field = self.coefficients(features)
        if self.skip is not None:
            field = field + self.skip(F.pad(image, (1, 1, 1, 1), mode="replicate"))
        batch, _, height, width = field.shape
        r, colours = self.basis, image.shape[1]
        a = self.rows(grid.row_offset, grid.condition[0])  # [H, slots, r]
        b = self.columns(grid.column_offset, grid.condition[1])  # [W, slots, r]
        # Rows: [B, H, slots, r] @ [B, H, r, (j c W)], then keep the slots that exist.
        field = field.view(batch, r, r * colours, height, width).permute(0, 3, 1, 2, 4)
        rows = torch.matmul(a, field.reshape(batch, height, r, r * colours * width))
        rows = rows.reshape(batch, -1, r * colours * width).index_select(1, grid.row_index)
        # Columns likewise. Two simple transposes are several times faster in ONNX Runtime
        # than the one general permutation [Y, j, c, W] -> [W, j, c, Y].
        rows = rows.transpose(1, 2).reshape(batch, r * colours, width, -1).permute(0, 2, 1, 3)
        pixels = torch.matmul(b, rows.reshape(batch, width, r, -1))
        pixels = pixels.reshape(batch, -1, pixels.shape[-1]).index_select(1, grid.column_index)
        pixels = pixels.view(batch, grid.column_index.shape[0], colours, grid.row_index.shape[0])
        return pixels.permute(0, 2, 3, 1)


def bilinear_coefficients(basis: int) -> Tensor:
    """Return the kernel [3 basis^2, 3, 3, 3] of bilinear interpolation of the image.

    In the functions (1, d, |d|) the bilinear weights of the neighbours at -1, 0 and +1 are
    (|d| - d) / 2, 1 - |d| and (|d| + d) / 2; in the first two alone -d / 2, 1 and d / 2.
    """
    axis = torch.zeros(max(basis, 3), 3)
    axis[0] = torch.tensor([0.0, 1.0, 0.0])
    axis[1] = torch.tensor([-0.5, 0.0, 0.5])
    axis[2] = torch.tensor([0.5, -1.0, 0.5])
    axis = axis[:basis]
    spatial = torch.einsum("iy,jx->ijyx", axis, axis)
    kernel = torch.einsum("ijyx,cd->ijcdyx", spatial, torch.eye(COLOURS))
    return kernel.reshape(basis * basis * COLOURS, COLOURS, 3, 3)


def start_convolution(conv: nn.Conv2d, gain: float) -> None:
    """Start a convolution from He's normal distribution times `gain`, with biases of zero."""
    nn.init.kaiming_normal_(conv.weight)
    with torch.no_grad():
        conv.weight.mul_(gain)
        if conv.bias is not None:
            conv.bias.zero_()
