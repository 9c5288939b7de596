"""Warm starts: a larger network starts from a trained smaller one.

Net2Net's idea (Chen, Goodfellow and Shlens, ICLR 2016) for conditioned networks: the large network
holds the small one as its first channels, blocks and basis functions. At the inner widths of the
small one it computes the same function. New parts start without influence on the output, but with
inputs, so that their gradients are non-zero from the first step.

Other networks start from every tensor that they share with a trained one: a plain network's AnySR
form from all of it (AnySR Algorithm 1 starts so), another head from the encoder, another integer
scale from all but the last layers, another encoder from the head, and PiCA from the network without
it (PiCA starts as the identity).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.composed import Composed
from models.architectures.conditioned import Conditioned
from models.architectures.heads.pica import PixelContinuityHead
from models.architectures.heads.tensor_product import COLOURS, OffsetBasis
from models.architectures.network import Network


@torch.no_grad()
def grow(small: Network, large: Network) -> None:
    """Write the weights of `small` into `large`, in place.

    Raises ValueError if both are conditioned and `large` is smaller in channels, blocks or basis,
    or has other blocks; for other networks, if `large` shares (by name and shape) neither half of
    the weights of `small` nor its whole head.
    """
    if isinstance(small, Conditioned) and isinstance(large, Conditioned):
        _grow_conditioned(small, large)
    else:
        _start_from(small, large)


def _start_from(small: Network, large: Network) -> None:
    known, given = large.state_dict(), small.state_dict()
    if _gains_pica(small, large):
        given = {_behind_pica(name): value for name, value in given.items()}
    shared = {k: v for k, v in given.items() if k in known and known[k].shape == v.shape}
    numbers = sum(v.numel() for v in given.values())
    unfit = [k for k in given if k not in shared]
    headless = not isinstance(small, Composed) or any(k.startswith("head.") for k in unfit)
    if headless and 2 * sum(v.numel() for v in shared.values()) < numbers:
        raise ValueError(f"cannot start from weights with {', '.join(unfit[:3])}: not in here")
    large.load_state_dict({**known, **shared})


def _gains_pica(small: Network, large: Network) -> bool:
    heads = [n.head if isinstance(n, Composed) else None for n in (small, large)]
    return [isinstance(head, PixelContinuityHead) for head in heads] == [False, True]


def _behind_pica(name: str) -> str:
    part, _, rest = name.partition(".")
    return f"head.head.{rest}" if part == "head" else name


def _grow_conditioned(small: Conditioned, large: Conditioned) -> None:
    before = (small.channels, len(small.blocks), small.head.basis)
    after = (large.channels, len(large.blocks), large.head.basis)
    if small.convolutions != large.convolutions or any(
        b > a for b, a in zip(before, after, strict=True)
    ):
        raise ValueError(
            f"cannot grow from (channels, blocks, basis) {before}, {small.convolutions}"
            f" convolutions a block, to {after}, {large.convolutions}"
        )
    known, last = small.channels, small.convolutions - 1
    _prefix(small.entry, large.entry)
    _grow_condition(small, large)
    for old, new in zip(small.blocks, large.blocks, strict=False):
        _prefix(old, new)
        # New channels, in the stream or inside the block, do not yet reach old ones.
        for place in range(small.convolutions):
            new.get_parameter(f"convolutions.{place}.weight")[:known, known:] = 0
    for new in large.blocks[len(small.blocks) :]:
        new.get_parameter(f"convolutions.{last}.weight")[:known] = 0
    _grow_head(small, large)


def _grow_condition(small: Conditioned, large: Conditioned) -> None:
    _prefix(small.condition.fc1, large.condition.fc1)
    # Each network gets the width as a fraction of its own full width.
    large.condition.fc1.weight[:, 3] *= large.channels / small.channels
    for name, value in small.condition.fc2.named_parameters():
        old = value.view(small.condition.blocks, small.channels, -1)
        parameter = large.condition.fc2.get_parameter(name)
        new = parameter.view(large.condition.blocks, large.channels, -1)
        new[: small.condition.blocks, : small.channels] = old


def _prefix(small: nn.Module, large: nn.Module) -> None:
    """Copy each parameter into the leading corner of its larger counterpart."""
    for name, value in small.named_parameters():
        large.get_parameter(name)[tuple(slice(n) for n in value.shape)] = value


def _grow_head(small: Conditioned, large: Conditioned) -> None:
    old, new = small.head, large.head
    _by_function(new.coefficients.weight, new.basis)[
        : old.basis, : old.basis, :, small.channels :
    ] = 0
    for name in ("coefficients.weight", "coefficients.bias", "skip.weight"):
        value = _by_function(old.get_parameter(name), old.basis)
        target = _by_function(new.get_parameter(name), new.basis)
        target[tuple(slice(n) for n in value.shape)] = value
    axes: list[tuple[OffsetBasis, OffsetBasis]] = [(old.rows, new.rows), (old.columns, new.columns)]
    for old_axis, new_axis in axes:
        _prefix(old_axis, new_axis)


def _by_function(parameter: Tensor, basis: int) -> Tensor:
    """View [basis^2 * 3, ...] as [basis, basis, 3, ...]."""
    return parameter.view(basis, basis, COLOURS, *parameter.shape[1:])
