"""The output pixels that a training step computes, where it does not compute all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Queries(NamedTuple):
    """Rows and columns of the output to compute, ascending, and the part that enters the loss:
    pixels whose neighbours are computed as well."""

    rows: Tensor
    columns: Tensor
    loss_rows: slice
    loss_columns: slice

    def loss_pixels(self, made: Tensor) -> Tensor:
        """Return the pixels of the output [B, C, rows, columns] that enter the loss."""
        return made[:, :, self.loss_rows, self.loss_columns]

    def loss_pixels_of(self, whole: Tensor) -> Tensor:
        """Return the same pixels of a whole picture [B, C, Y, X]."""
        device = whole.device
        rows, columns = (w.to(device, non_blocking=True) for w in (self.rows, self.columns))
        return self.loss_pixels(whole.index_select(2, rows).index_select(3, columns))


def draw_queries(
    size: Sequence[int], count: int, output_halo: int, generator: torch.Generator
) -> Queries:
    """Draw `count` rows and columns, or all where there are fewer, of an output of `size` (Y, X).

    They lie anywhere if the head computes each output pixel by itself. A head that mixes
    `output_halo` neighbouring pixels (ArbSR's ends in a 3x3 convolution) needs the neighbours that
    it has in use: they are then consecutive, and the outermost are computed but left out of the
    loss, except at the picture's edge.
    """
    (rows, loss_rows), (columns, loss_columns) = (
        _draw_axis(side, count, output_halo, generator) for side in size
    )
    return Queries(rows, columns, loss_rows, loss_columns)


def _draw_axis(
    side: int, count: int, output_halo: int, generator: torch.Generator
) -> tuple[Tensor, slice]:
    if not output_halo:
        return torch.randperm(side, generator=generator)[:count].sort().values, slice(None)
    count = min(side, count)
    start = int(torch.randint(side - count + 1, (), generator=generator))
    first = output_halo if start > 0 else 0
    last = count - (output_halo if start + count < side else 0)
    return torch.arange(start, start + count), slice(first, last)
