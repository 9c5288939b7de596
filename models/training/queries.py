"""The output pixels that a training step makes, where it does not make all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Queries(NamedTuple):
    """Rows and columns of the output to make, rising, and which of those have their neighbours."""

    rows: Tensor
    columns: Tensor
    judged_rows: slice
    judged_columns: slice

    def loss_rows(self, made: Tensor) -> Tensor:
        """Return those of the made pixels [B, C, rows, columns] that the loss may judge."""
        return made[:, :, self.judged_rows, self.judged_columns]

    def judged_of(self, whole: Tensor) -> Tensor:
        """Return the same pixels of a whole picture [B, C, Y, X]."""
        device = whole.device
        rows, columns = (w.to(device, non_blocking=True) for w in (self.rows, self.columns))
        return self.loss_rows(whole.index_select(2, rows).index_select(3, columns))


def draw_queries(
    size: Sequence[int], count: int, output_halo: int, generator: torch.Generator
) -> Queries:
    """Draw `count` rows and columns, or all where there are fewer, of an output of `size` (Y, X).

    Anywhere, for a head that makes each output pixel by itself. One that also mixes the
    `output_halo` pixels next to it (ArbSR's ends in a 3x3 convolution) must see the neighbours that
    it will see in use: a run of places then, of which the outermost are made and not loss_rows,
    except at the picture's edge, where there is nothing beyond in use either.
    """
    (rows, judged_rows), (columns, judged_columns) = (
        _draw_axis(side, count, output_halo, generator) for side in size
    )
    return Queries(rows, columns, judged_rows, judged_columns)


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
