"""SRNO's head (Wei and Zhang, CVPR 2023): Galerkin attention over all output pixels.

Every output pixel starts with its four neighbours' features, weighted by area, its offsets from
them, and the size of an output pixel. Two attention blocks follow, whose cost is linear in the
number of pixels because k^T v comes first, and a bilinear skip is added. The attention covers all
output pixels of a call, so a tile differs from the whole picture.

The folded form multiplies the query's projection, k^T v and the first projection after them into
one matrix per picture: the same values, without queries.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.heads.neighbours import Neighbours, bilinear, ensemble, four, neighbours
from models.architectures.network import Grid, Head

EPSILON = 1e-5


class HeadNorm(nn.Module):
    """Layer normalisation with a scale and a shift of its own for each attention head.

    forward: x [..., heads, size]. The released code divides by the unbiased deviation plus epsilon
    (`quirk`) where layer normalisation has the root of variance plus epsilon.
    """

    def __init__(self, heads: int, size: int, quirk: bool) -> None:
        super().__init__()
        self.quirk = quirk
        self.weight = nn.Parameter(torch.ones(heads, size))
        self.bias = nn.Parameter(torch.zeros(heads, size))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        squares = centred.square().sum(-1, keepdim=True)
        if self.quirk:
            deviation = (squares / (x.shape[-1] - 1)).sqrt() + EPSILON
        else:
            deviation = (squares / x.shape[-1] + EPSILON).sqrt()
        return self.weight * (centred / deviation) + self.bias


class GalerkinBlock(nn.Module):
    """x [B, N, C] -> [B, N, C]: linear attention, then two projections, around a skip."""

    def __init__(self, channels: int, heads: int, quirk: bool) -> None:
        super().__init__()
        self.heads = heads
        self.size = channels // heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.key_norm = HeadNorm(heads, self.size, quirk)
        self.value_norm = HeadNorm(heads, self.size, quirk)
        self.project1 = nn.Linear(channels, channels)
        self.project2 = nn.Linear(channels, channels)

    def forward(self, x: Tensor, plain: bool) -> Tensor:
        attended = self._plain(x) if plain else self._folded(x)
        projected: Tensor = self.project2(F.gelu(attended))
        return projected + x

    def _plain(self, x: Tensor) -> Tensor:
        """Return the first projection of x + q (k^T v) / N."""
        q, k, v = torch.unflatten(self.qkv(x), 2, (self.heads, 3, self.size)).unbind(3)
        found = torch.matmul(q.transpose(1, 2), self._products(k, v))
        attended: Tensor = self.project1(found.transpose(1, 2).flatten(2) + x)
        return attended

    def _folded(self, x: Tensor) -> Tensor:
        weight = torch.unflatten(self.qkv.weight, 0, (self.heads, 3, self.size))
        bias = torch.unflatten(self.qkv.bias, 0, (self.heads, 3, self.size))
        keys_values = F.linear(x, weight[:, 1:].flatten(0, 2), bias[:, 1:].flatten())
        k, v = torch.unflatten(keys_values, 2, (self.heads, 2, self.size)).unbind(3)
        products = self._products(k, v)  # [B, heads, size, size]
        queries = torch.matmul(weight[:, 0].transpose(1, 2), products)  # [B, heads, C, size]
        constant = torch.matmul(bias[:, 0, None], products)  # [B, heads, 1, size]
        projected = F.linear(queries.transpose(1, 2).flatten(2), self.project1.weight)
        matrix = projected + self.project1.weight.T  # the skip: x goes through the projection too
        shift: Tensor = self.project1(constant.transpose(1, 2).flatten(2))
        return torch.matmul(x, matrix) + shift

    def _products(self, k: Tensor, v: Tensor) -> Tensor:
        """Return k^T v / N of k and v [B, N, heads, size]: [B, heads, size, size]."""
        k, v = self.key_norm(k), self.value_norm(v) / k.shape[1]
        return torch.matmul(k.permute(0, 2, 3, 1), v.transpose(1, 2))


class SRNO(Head):
    """The neural-operator head; `plain` computes the paper's formula literally,
    `released_quirks` normalises as the released code does, for its weights."""

    tile_output_pixels = 768 * 768

    def __init__(
        self,
        features: int,
        channels: int = 256,
        heads: int = 16,
        blocks: int = 2,
        plain: bool = False,
        released_quirks: bool = False,
    ) -> None:
        super().__init__(halo=None)
        if channels % heads:
            raise ValueError(f"{heads} heads do not divide {channels} channels")
        self.plain = plain
        self.lift = nn.Linear(4 * features + 10, channels)
        self.blocks = nn.ModuleList(
            GalerkinBlock(channels, heads, released_quirks) for _ in range(blocks)
        )
        self.fc1 = nn.Linear(channels, channels)
        self.fc2 = nn.Linear(channels, 3)

    def forward(self, features: Tensor, image: Tensor, grid: Grid) -> Tensor:
        rows = neighbours(grid.row_offset, grid.row_index)
        columns = neighbours(grid.column_offset, grid.column_index)
        lifted = self.lift(_seen(features, grid.condition, rows, columns))
        x = lifted.flatten(1, 2)
        for block in self.blocks:
            x = block(x, self.plain)
        colour: Tensor = self.fc2(F.gelu(self.fc1(x)))
        colour = colour.view(*lifted.shape[:3], 3).permute(0, 3, 1, 2)
        return 0.5 * colour + bilinear(image, rows, columns)


def _seen(features: Tensor, inverse_scale: Tensor, rows: Neighbours, columns: Neighbours) -> Tensor:
    """Return the inputs of every output pixel, [B, Y, X, 4 C + 10]: offsets, features, cell."""
    weights = ensemble(rows, columns)[:, None, :, :, None]
    found = four(features.permute(0, 2, 3, 1), rows, columns)
    weighted = [weight * here for weight, here in zip(weights, found, strict=True)]
    shape = found[0].shape[:3]
    places = [
        place.expand(shape)[..., None]
        for row in rows.offset
        for column in columns.offset
        for place in (2 * row[:, None], 2 * column)
    ]
    return torch.cat((*places, *weighted, (2 * inverse_scale).expand(*shape, 2)), -1)
