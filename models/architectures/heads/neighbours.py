"""The input pixels around each output pixel, as implicit heads look them up.

Along one axis every output pixel has two neighbours, those whose centres are next to it; beyond the
picture's edge both are its last pixel. Rows and columns are looked up apart, so four neighbours
cost two gathers of rows and four of columns.
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
    """Which input pixel (int64)."""
    offset: Tensor
    """Where the output pixel lies from its centre, in input pixels."""


def neighbours(offset: Tensor, index: Tensor) -> Neighbours:
    """Return the neighbours of one axis, of its part of the sampling positions."""
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
    and the diagonally opposite neighbour, as a part of all four."""
    # All in thousandths of LIIF's units: ONNX's optimiser takes its 1e-9 for nothing and drops it.
    high, wide = _opposite(rows), _opposite(columns)
    areas = 1e3 * high[:, None, :, None] * wide[None, :, None, :] + 1e-6
    weights: Tensor = areas / areas.sum((0, 1))
    return weights.flatten(0, 1)


def _opposite(axis: Neighbours) -> Tensor:
    """Return how far the opposite neighbour of each is, in halves of an input pixel: the sides
    [2, outputs] of the areas.

    Right on the last pixel's centre both neighbours are that pixel, and both sides 0. No area would
    then tell the neighbours of the other axis apart. Just beyond the centre both sides are equal,
    and the limit of the weights is that of any two sides that are.
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
    same pixel, and any two that add up to one will do."""
    upper = axis.offset[0].clamp(0, 1)
    return torch.stack((1 - upper, upper))
