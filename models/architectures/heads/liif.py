"""LIIF's head (Chen, Liu and Wang, CVPR 2021): colours of coordinates, by an MLP.

For each of the four neighbours of an output pixel the MLP sees its 3x3 features, the offset of the
output pixel, and the size of an output pixel; the four outputs are blended by area.

The first layer is linear in the features, so it is a 3x3 convolution, computed once per input pixel
and looked up: the same values as the plain form, at a third of the cost or less.

Untrained, the MLP is a linear function of the features (`looks_linear`). Short training runs then
need half the steps that PyTorch's own initialisation does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.heads.neighbours import Neighbours, ensemble, four, neighbours
from models.architectures.looks_linear import look_linear
from models.architectures.network import Grid, Head


class LIIF(Head):
    """The implicit head; `plain` computes the paper's formula literally."""

    tile_output_pixels = 512 * 512

    def __init__(
        self, features: int, hidden: int = 256, layers: int = 4, plain: bool = False
    ) -> None:
        super().__init__(halo=2)  # the 3x3 features of a neighbour
        if hidden % 2:
            raise ValueError(f"hidden units come in pairs, got {hidden}")
        self.features = features
        self.plain = plain
        sizes = [9 * features + 4, *[hidden] * layers]
        self.layers = nn.Sequential()
        for before, after in itertools.pairwise(sizes):
            self.layers.extend((nn.Linear(before, after), nn.ReLU()))
        self.layers.append(nn.Linear(hidden, 3))
        look_linear(self.layers)

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        rows = neighbours(grid.row_offset, grid.row_index)
        columns = neighbours(grid.column_offset, grid.column_index)
        first = self._plain_first if self.plain else self._first
        weights = ensemble(rows, columns)
        colour = torch.zeros((), dtype=features.dtype, device=features.device)
        for weight, hidden in zip(
            weights, first(features, grid.condition, rows, columns), strict=True
        ):
            colour = colour + weight[:, :, None] * self.layers[1:](hidden)
        return 0.5 * colour.permute(0, 3, 1, 2) + 0.5

    def _first(
        self, features: Tensor, inverse_scale: Tensor, rows: Neighbours, columns: Neighbours
    ) -> Iterator[Tensor]:
        """Yield the first layer's outputs [B, Y, X, hidden] for each neighbour."""
        weight, bias = self._first_layer()
        kernel = torch.unflatten(weight[:, : 9 * self.features], 1, (self.features, 3, 3))
        by_row, by_column = weight[:, 9 * self.features], weight[:, 9 * self.features + 1]
        cell = F.linear(2 * inverse_scale, weight[:, 9 * self.features + 2 :], bias)
        field = F.conv2d(features, kernel, cell, padding=1).permute(0, 2, 3, 1)
        # One neighbour at a time: each is as large as all features of the output.
        for row, down in zip(rows.index, rows.offset, strict=True):
            line = field.index_select(1, row) + (2 * down)[:, None, None] * by_row
            for column, across in zip(columns.index, columns.offset, strict=True):
                yield line.index_select(2, column) + (2 * across)[:, None] * by_column

    def _plain_first(
        self, features: Tensor, inverse_scale: Tensor, rows: Neighbours, columns: Neighbours
    ) -> Iterator[Tensor]:
        unfolded = torch.unflatten(F.unfold(features, 3, padding=1), 2, features.shape[2:])
        found = four(unfolded.permute(0, 2, 3, 1), rows, columns)
        places = [(row, column) for row in rows.offset for column in columns.offset]
        for here, (row, column) in zip(found, places, strict=True):
            shape = here.shape[:3]
            place = (2 * row[:, None].expand(shape), 2 * column.expand(shape))
            cell = (2 * inverse_scale).expand(*shape, 2)
            inputs = torch.cat((here, torch.stack(place, -1), cell), -1)
            yield self.layers[0](inputs)

    def _first_layer(self) -> tuple[Tensor, Tensor]:
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)  # for the type checker: built so
        return layer.weight, layer.bias
