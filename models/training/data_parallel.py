"""Data-parallel training: each process runs its part of every batch, gradients are averaged.

Started by PyTorch's own launcher, `torchrun --nproc-per-node N -m models.training.run ...`. On
shared machines N processes of one thread are faster than one of N threads, which wait for each
other in every operation.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Peers:
    """The rank of this process and the number of processes."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reports, validates and saves."""
        return self.rank == 0

    def part_of(self, batch: int) -> slice:
        """Return the slice of a batch's samples that this process runs."""
        return slice(self.rank * batch // self.count, (self.rank + 1) * batch // self.count)

    def average(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes, which must all have gradients
        for the same parameters."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape) / self.count)

    def any_wants(self, wish: bool) -> bool:
        """Return whether `wish` is true in any of the processes, so that all act alike."""
        if self.count == 1:
            return wish
        wishes = torch.tensor(float(wish))
        dist.all_reduce(wishes)
        return bool(wishes > 0)


def join() -> Peers:
    """Join the process group if the launcher started several processes."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Peers()
    dist.init_process_group("gloo")
    return Peers(dist.get_rank(), count)
