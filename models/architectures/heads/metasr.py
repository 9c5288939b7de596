"""MetaSR's head (Hu et al., CVPR 2019): a kernel for each output pixel, made by an MLP.

This is the form of LIIF's authors for real scales: the MLP maps the offset between the upper left
corners of the output pixel and of the input pixel that holds it, and 1/scale, to a 3x3 kernel.

The MLP's last layer is linear, so the output is a sum over its hidden units of h_k(offset) times a
3x3 convolution B_k of the features, once per input pixel: the same values as the plain form,
without a kernel per output pixel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.heads.neighbours import gather
from models.architectures.network import Grid, Head, positions

COLOURS = 3
TIE = 1e-6
"""Tolerance: corners that differ by rounding alone count as equal."""


class MetaSR(Head):
    """The meta-upscale head; `plain` computes the paper's formula literally."""

    tile_output_pixels = 512 * 512

    def __init__(self, features: int, hidden: int = 256, plain: bool = False) -> None:
        super().__init__(halo=2)  # the 3x3 features of the pixel before the nearest
        self.features = features
        self.plain = plain
        self.fc1 = nn.Linear(3, hidden)
        self.fc2 = nn.Linear(hidden, 9 * features * COLOURS)

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        rows, down = corners(grid.row_offset, grid.row_index, grid.condition[0])
        columns, across = corners(grid.column_offset, grid.column_index, grid.condition[1])
        shape = down.shape[0], across.shape[0]
        cell = grid.condition[0]
        place = (down[:, None].expand(shape), across.expand(shape), cell.expand(shape))
        hidden = F.relu(self.fc1(torch.stack(place, -1)))  # [Y, X, hidden]
        form = self._plain if self.plain else self._summed
        return 0.5 * form(features, rows, columns, hidden) + 0.5

    def _summed(self, features: Tensor, rows: Tensor, columns: Tensor, hidden: Tensor) -> Tensor:
        kernels = torch.unflatten(self.fc2.weight, 0, (self.features, 3, 3, COLOURS))
        kernels = kernels.permute(3, 4, 0, 1, 2).flatten(0, 1)  # [(colour hidden), C, 3, 3]
        constant = torch.unflatten(self.fc2.bias, 0, (self.features, 3, 3, COLOURS))
        field = F.conv2d(features, kernels, padding=1).permute(0, 2, 3, 1)
        found = torch.unflatten(gather(field, rows, columns), 3, (COLOURS, hidden.shape[-1]))
        colour = torch.matmul(found, hidden[:, :, :, None]).squeeze(-1)
        bias = F.conv2d(features, constant.permute(3, 0, 1, 2), padding=1).permute(0, 2, 3, 1)
        return (colour + gather(bias, rows, columns)).permute(0, 3, 1, 2)

    def _plain(self, features: Tensor, rows: Tensor, columns: Tensor, hidden: Tensor) -> Tensor:
        unfolded = torch.unflatten(F.unfold(features, 3, padding=1), 2, features.shape[2:])
        found = gather(unfolded.permute(0, 2, 3, 1), rows, columns)[:, :, :, None]
        kernels = torch.unflatten(self.fc2(hidden), 2, (9 * self.features, COLOURS))
        return torch.matmul(found, kernels).squeeze(-2).permute(0, 3, 1, 2)


def corners(offset: Tensor, index: Tensor, inverse_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return, by output pixel of one axis, the input pixel (int64) that holds its lower corner, and
    where in it that corner lies, in [0, 1)."""
    nearest, from_centre = positions(offset, index)
    part = 0.5 + from_centre - 0.5 * inverse_scale.to(from_centre.dtype)
    before = (part < -TIE).to(nearest.dtype)
    return (nearest - before).clamp(min=0), part + before.to(part.dtype)
