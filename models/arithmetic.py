"""The arithmetic of a network: parameters, and multiply-accumulates of convolutions and products.

They are counted on the meta device, so nothing is computed. The cost per pixel is the slope between
two sizes, which leaves out the constant cost of a picture (gates on pooled features).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.architectures.network import Network, TrunkedNetwork, grid_for
from models.geometry import axis_grid

SIDES = (32, 48)
"""Pixels a side of the two sizes; a picture of the smaller at x1.5 has the larger."""


@dataclass(frozen=True)
class Arithmetic:
    """Multiply-accumulates: an input pixel costs `trunk`, by width, and `head_per_input`; an output
    pixel costs `head_per_output`. Without a trunk, the head's figures hold the whole cost."""

    trunk: Sequence[int]
    head_per_input: int
    head_per_output: int


def parameters(module: nn.Module) -> int:
    """Return the number of a module's parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in module.parameters())


def arithmetic_of(network: Network) -> Arithmetic:
    """Return the cost of a network that lies on the meta device."""
    trunk: list[int] = []
    run = functools.partial(_whole, network)
    if isinstance(network, TrunkedNetwork):
        trunk = [_trunk_operations(network, channels) for channels in network.widths]
        run = functools.partial(_head, network)
    small, large = SIDES
    between = _counted(lambda: run(small, large))
    return Arithmetic(
        trunk,
        _per_pixel(_counted(lambda: run(large, large)) - between),
        _per_pixel(between - _counted(lambda: run(small, small))),
    )


def _trunk_operations(network: TrunkedNetwork, channels: int) -> int:
    def counted(side: int) -> int:
        grid = axis_grid(side, side)
        condition = grid_for(network, grid, grid, "meta").condition
        return _counted(lambda: network.trunk(_image(side), condition, channels))

    small, large = map(counted, SIDES)
    return _per_pixel(large - small)


def _whole(network: Network, n_in: int, n_out: int) -> Tensor:
    grid = axis_grid(n_in, n_out)
    output: Tensor = network(_image(n_in), grid_for(network, grid, grid, "meta"), network.channels)
    return output


def _head(network: TrunkedNetwork, n_in: int, n_out: int) -> Tensor:
    grid, channels = axis_grid(n_in, n_out), network.features
    features = torch.empty(1, channels, n_in, n_in, device="meta")
    output: Tensor = network.head(features, _image(n_in), grid_for(network, grid, grid, "meta"))
    return output


def _per_pixel(difference: int) -> int:
    return round(difference / (SIDES[1] ** 2 - SIDES[0] ** 2))


def _image(side: int) -> Tensor:
    return torch.empty(1, 3, side, side, device="meta")


@torch.no_grad()
def _counted(run: Callable[[], Tensor]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops()) // 2
