"""The input pixels around each output pixel, as implicit heads look them up.

Along one axis every output pixel has two neighbours, those whose centres are next to it; beyond the
picture's edge both are its last pixel. Rows and columns are looked up separately, so four
neighbours cost two gathers of rows and four of columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.architectures.network import positions


@dataclass(frozen=True)
class Neighbours:
    """The neighbours of one axis, by output pixel: [2, outputs] each, the lower one first."""

    index: Tensor
    """Index of the input pixel (int64)."""
    offset: Tensor
    """Offset of the output pixel from its centre, in input pixels."""


def neighbours(offset: Tensor, index: Tensor) -> Neighbours:
    """Return the neighbours of one axis from its part of the grid."""
    nearest, from_nearest = positions(offset, index)
    low = nearest - (from_nearest < 0).to(nearest.dtype)
    both = torch.stack((low, low + 1)).clamp(0, offset.shape[0] - 1)
    return Neighbours(both, from_nearest + (nearest - both).to(from_nearest.dtype))


def gather(field: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return field [B, H, W, C] at rows [Y] and columns [X]: [B, Y, X, C]."""
    return field.index_select(1, rows).index_select(2, columns)


def four(field: Tensor, rows: Neighbours, columns: Neighbours) -> list[Tensor]:
    """Return field [B, H, W, C] at the four neighbours, [B, Y, X, C] each: rows first, lower
    first."""
    lines = [field.index_select(1, row) for row in rows.index]
    return [line.index_select(2, column) for line in lines for column in columns.index]


def ensemble(rows: Neighbours, columns: Neighbours) -> Tensor:
    """Return LIIF's weights of the four neighbours, [4, Y, X]: the area between the output pixel
    and the diagonally opposite neighbour, as a fraction of all four."""
    # In thousandths of LIIF's units, because ONNX's optimiser drops its 1e-9 as zero.
    high, wide = _opposite(rows), _opposite(columns)
    areas = 1e3 * high[:, None, :, None] * wide[None, :, None, :] + 1e-6
    weights: Tensor = areas / areas.sum((0, 1))
    return weights.flatten(0, 1)


def _opposite(axis: Neighbours) -> Tensor:
    """Return the distance to the opposite neighbour, in half input pixels: the sides [2, outputs]
    of the areas.

    On the last pixel's centre both neighbours are that pixel and both sides are 0, so all areas
    would be 0. Just beyond the centre both sides are equal, so any two equal sides give the limit
    of the weights.
    """
    sides = 2 * axis.offset.abs().flip(0)
    return torch.where(sides.sum(0) == 0, torch.ones_like(sides), sides)


def bilinear(image: Tensor, rows: Neighbours, columns: Neighbours) -> Tensor:
    """Return image [B, 3, H, W] interpolated linearly, [B, 3, Y, X]; constant beyond its edge."""
    high, wide = (_linear(axis) for axis in (rows, columns))
    lines = image.index_select(2, rows.index[0]) * high[0, :, None]
    lines = lines + image.index_select(2, rows.index[1]) * high[1, :, None]
    left = lines.index_select(3, columns.index[0]) * wide[0]
    return left + lines.index_select(3, columns.index[1]) * wide[1]


def _linear(axis: Neighbours) -> Tensor:
    """Return the weights [2, outputs] of linear interpolation. At the edge both neighbours are the
    same pixel, and any two weights that sum to 1 are right."""
    upper = axis.offset[0].clamp(0, 1)
    return torch.stack((1 - upper, upper))
