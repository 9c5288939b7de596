"""The inputs of the device's part of a training step: as drawn, or padded to fixed shapes.

A real scale changes how many output pixels there are and how many of them share an input pixel. A
captured step (`models.training.cuda_graphs`) reads the same memory in the same shapes each time, so
for it a batch is written into a `FixedBatch`: a scale then changes the tensors' values alone, and
weights mark the rows and columns that are padding.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.architectures.network import Grid, Network, grid_for
from models.geometry import axis_grid
from models.training.losses import Loss
from models.training.queries import Queries

EVERYWHERE = slice(None), slice(None)

AXES = functools.lru_cache(maxsize=4096)(axis_grid)
"""Cached: a run has few axes, and each takes as long to compute as a step's other draws."""


class Batch(NamedTuple):
    """Pictures, sampling positions, and the target of the loss.

    image: [B, 3, p, p] in [0, 1].
    target: [B, 3, rows, columns] in [0, 1], of the output pixels that enter the loss.
    grid: the positions of the output pixels.
    loss_window: the rows and columns of these among the computed pixels.
    weights: 1 for each of those rows [rows] and columns [columns] that counts and 0 for padding;
        None where there is no padding.
    """

    image: Tensor
    target: Tensor
    grid: Grid
    loss_window: tuple[slice, slice] = EVERYWHERE
    weights: tuple[Tensor, Tensor] | None = None

    def sent(self) -> Batch:
        """Return the batch with its grid on the device of its pictures; the host does not wait."""
        device = self.image.device
        return self._replace(grid=sent_to(device, self.grid))

    def loss_pixels(self, output: Tensor) -> Tensor:
        """Return the pixels of the output [B, 3, Y, X] that enter the loss."""
        rows, columns = self.loss_window
        return output[:, :, rows, columns]

    def mean_loss(self, loss: Loss, output: Tensor, truth: Tensor) -> Tensor:
        """Return the mean loss without padding; `loss` must treat each pixel by itself and be 0
        where both pictures are equal, as they are in the padding.
        """
        if self.weights is None:
            return loss(output, truth)
        rows, columns = self.weights
        weight = rows[:, None] * columns
        return loss(output * weight, truth * weight) / weight.mean()


def batch_of(
    network: Network,
    small: Tensor,
    target: Tensor,
    queries: Queries | None = None,
    strength: float = 0.0,
) -> Batch:
    """Return the batch of inputs `small` [B, 3, p, p] and targets [B, 3, Y, X]; its grid is on the
    CPU."""
    grid = grid_of(network, small.shape[2:], target.shape[2:], queries, strength)
    if queries is None:
        return Batch(small, target, grid)
    window = queries.loss_rows, queries.loss_columns
    return Batch(small, queries.loss_pixels_of(target), grid, window)


def sent_to(device: torch.device, grid: Grid) -> Grid:
    """Return a grid on a device, without waiting for the copies."""
    return Grid(*(tensor.to(device, non_blocking=True) for tensor in grid))


def grid_of(
    network: Network,
    inputs: Sequence[int],
    size: Sequence[int],
    queries: Queries | None = None,
    strength: float = 0.0,
) -> Grid:
    """Return the grid, on the CPU, of an image of `inputs` (height, width) and the output's `size`
    likewise, or of `queries` alone."""
    rows, columns = (AXES(*sides) for sides in zip(inputs, size, strict=True))
    grid = grid_for(network, rows, columns, strength=strength)
    if queries is None:
        return grid
    return grid._replace(
        row_index=grid.row_index[queries.rows], column_index=grid.column_index[queries.columns]
    )


class FixedBatch:
    """A batch of fixed shapes and addresses, for all scales at which a patch grows to at most
    `longest` pixels and at most `count` rows and columns are computed."""

    def __init__(self, like: Batch, longest: int, count: int) -> None:
        batch, colours, *patch = like.image.shape
        self._slots = -(-longest // min(patch))
        self._count = count
        device = like.image.device
        image = torch.zeros(batch, colours, *patch, device=device)
        image = image.contiguous(memory_format=torch.channels_last)
        target = torch.zeros(batch, colours, count, count, device=device)
        positions = [
            tensor
            for side in patch
            for tensor in (torch.full((side, self._slots), 0.5), torch.zeros(count).long())
        ]
        grid = Grid(*(t.to(device) for t in (torch.ones_like(like.grid.condition), *positions)))
        weights = torch.ones(count, device=device), torch.ones(count, device=device)
        self.batch = Batch(image, target, grid, weights=weights)

    def fill(self, drawn: Batch) -> Batch:
        """Overwrite `batch` with a drawn one, whose grid is on the CPU, and return it; the host
        does not wait."""
        grid = drawn.grid
        rows = pad_axis(grid.row_offset, grid.row_index, self._slots, self._count)
        columns = pad_axis(grid.column_offset, grid.column_index, self._slots, self._count)
        high, wide = drawn.target.shape[2:]
        self.batch.image.copy_(drawn.image)
        # Beyond these, values of earlier targets remain: finite, and of no weight.
        self.batch.target[:, :, :high, :wide].copy_(drawn.target)
        assert self.batch.weights is not None  # for the type checker
        buffers = *self.batch.grid, *self.batch.weights
        filled = grid.condition, *rows[:2], *columns[:2], rows[2], columns[2]
        for buffer, tensor in zip(buffers, filled, strict=True):
            buffer.copy_(tensor, non_blocking=True)
        return self.batch


def pad_axis(
    offset: Tensor, index: Tensor, slots: int, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return one axis's offset [n, slots] and index [count], padded, and weights [count] that are 0
    for padding. Padding is spread over the slots, because a GPU adds the gradients of output pixels
    that share a slot one after another.

    `offset` [n, fewer slots] and `index` [fewer] are as in `models.geometry.AxisGrid`.
    """
    few, outputs = offset.shape[1], index.shape[0]
    # A slot that no output pixel uses holds 0.5.
    offset = F.pad(offset, (0, slots - few), value=0.5)
    index = index + torch.div(index, few, rounding_mode="floor") * (slots - few)
    spread = torch.arange(outputs, count) % offset.numel()
    weight = F.pad(torch.ones(outputs), (0, count - outputs))
    return offset, torch.cat((index, spread)), weight
