"""Runs networks for training: whole, or with the trunk compiled or in half precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.architectures.conditioned import Conditioned
from models.architectures.network import Grid, Network, TrunkedNetwork
from models.training.acceleration import PROGRAMS_LIMIT, Trunk
from models.training.batch import grid_of, sent_to
from models.training.queries import Queries


def upscale(
    network: Network,
    image: Tensor,
    size: Sequence[int],
    channels: int,
    trunk: Trunk | None = None,
    queries: Queries | None = None,
    strength: float = 0.0,
) -> Tensor:
    """Run a network on image [B, 3, H, W] in [0, 1] to `size` (height, width); not clamped.

    `trunk` replaces the network's own. With `queries`, only those rows and columns are computed.
    `strength` is passed only to networks that take one.
    """
    grid = grid_of(network, image.shape[2:], size, queries, strength)
    return run_network(network, image, sent_to(image.device, grid), channels, trunk)


def run_network(
    network: Network,
    image: Tensor,
    grid: Grid,
    channels: int,
    trunk: Trunk | None = None,
) -> Tensor:
    """Run a network on a grid that is on the image's device; `trunk` replaces the network's own."""
    if trunk is None:
        output: Tensor = network(image, grid, channels)
        return output
    assert isinstance(network, TrunkedNetwork)  # for the type checker: nothing else has a trunk
    upscaled: Tensor = network.head(trunk(image, grid.condition, channels), image, grid)
    return upscaled


def trunk_of(network: Network, dtype: torch.dtype, compiler: str) -> Trunk | None:
    """Return an accelerated trunk; None for a network without one, which runs in float32.

    The conditioned network is compiled block by block: its blocks are alike, so one program per
    width serves all of them and compiles in seconds.
    """
    if not isinstance(network, TrunkedNetwork):
        return None
    compiled = compiler.startswith("inductor")
    if compiled and isinstance(network, Conditioned):
        _compile_blocks(network)
        compiled = False
    return Trunk(network, dtype, compiled)


def _compile_blocks(network: Conditioned) -> None:
    # Imported here because it takes seconds, which only compiled runs should spend.
    import torch._dynamo.config

    torch._dynamo.config.recompile_limit = PROGRAMS_LIMIT
    for block in network.blocks:
        block.compile(dynamic=False)
