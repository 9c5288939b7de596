"""Work in pieces, so that memory is bounded by one piece, eagerly and in ONNX."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch._higher_order_ops.scan import scan
from torch.utils.checkpoint import checkpoint


def in_chunks(step: Callable[..., Tensor], items: tuple[Tensor, ...], size: int) -> Tensor:
    """Return step(*items), run on at most `size` of the items at a time.

    `items` share their first dimension, and `step`, which may read other tensors as well, maps
    [n, ...] of each to one [n, ...] without mixing them. An exported graph loops over single items
    (ONNX Scan). With gradients, a piece keeps only its inputs and is recomputed in the backward
    pass.
    """
    if torch.compiler.is_exporting():
        return _scanned(step, items)
    parts = list(zip(*(torch.split(item, max(1, size)) for item in items), strict=True))
    if len(parts) == 1:
        return step(*parts[0])
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(step, *part, use_reentrant=False) for part in parts])
    return _filled(step, parts, len(items[0]))


def _filled(step: Callable[..., Tensor], parts: list[tuple[Tensor, ...]], count: int) -> Tensor:
    # One result is allocated first: many small ones would lie between the large blocks that a step
    # frees, and keep the allocator from using those again.
    first = step(*parts[0])
    result = first.new_empty(count, *first.shape[1:])
    done = len(first)
    result[:done] = first
    for part in parts[1:]:
        piece = step(*part)
        result[done : done + len(piece)] = piece
        done += len(piece)
    return result


def _scanned(step: Callable[..., Tensor], items: tuple[Tensor, ...]) -> Tensor:
    def one(carry: Tensor, item: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        return carry.clone(), step(*(tensor[None] for tensor in item))[0]

    _, outputs = scan(one, torch.zeros(()), items)
    result: Tensor = outputs
    return result
