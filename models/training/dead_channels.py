"""Dead channels: inner channels of a conditioned network whose ReLU is zero on every picture.

No gradient reaches a dead channel, so it never learns again and its part of the network is lost.
Too high a learning rate kills them: a step then moves a bias further than a channel's values are
wide. `revive` starts them anew without a change of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.architectures.conditioned import Conditioned, ConditionedBlock
from models.architectures.heads.tensor_product import start_convolution

CONDITIONS = ((0.5, 0.0), (0.25, 0.0), (0.5, 0.5))
"""1/scale and strength at which channels are looked at."""


class _Activity(TorchFunctionMode):
    """Records of each ReLU of a [B, C, H, W] on which part of the pixels a channel is above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (F.relu, torch.relu) and result.dim() == 4:
            self.parts.append((result > 0).float().mean((0, 2, 3)))
        return result


@torch.no_grad()
def find_dead(network: Conditioned, images: Tensor, seldom: float = 0.0) -> list[Tensor]:
    """Return which channels are dead [channels], for each convolution before a ReLU, in order.

    `images` [B, 3, H, W] in [0, 1] are looked at with every width, and with each of `CONDITIONS`.
    A channel counts as dead if it is above zero on at most a part `seldom` of their pixels.
    """
    inner = (network.convolutions - 1) * len(network.blocks)
    alive = torch.zeros(inner, network.channels, dtype=torch.bool, device=images.device)
    for channels in network.widths:
        for inverse_scale, strength in CONDITIONS:
            condition = images.new_tensor([inverse_scale, inverse_scale, strength])
            with _Activity() as activity:
                network.trunk(images, condition, channels)
            alive[:, :channels] |= torch.stack(activity.parts) > seldom
    return list(~alive)


def count_dead(network: Conditioned, images: Tensor, seldom: float = 0.0) -> int:
    """Return the number of dead channels; arguments as for `find_dead`."""
    return sum(int(dead.sum()) for dead in find_dead(network, images, seldom))


@torch.no_grad()
def revive(network: Conditioned, images: Tensor) -> int:
    """Start dead channels anew, in place, and return their number.

    Their kernels are drawn again and their biases are zero; what reads them does so with zeros,
    from which it can learn, so the output stays as it was. Draws from torch's global generator.
    """
    found = find_dead(network, images)
    for position, (block, place, dead) in enumerate(_places(network, found)):
        _silence(block, place, dead)
        _restart(block, place, dead)
        if place == 0:
            _clear_condition(network, position // (network.convolutions - 1), dead)
    return sum(int(dead.sum()) for dead in found)


def _places(
    network: Conditioned, found: list[Tensor]
) -> Iterator[tuple[ConditionedBlock, int, Tensor]]:
    """Yield (block, position of the convolution in it, its dead channels), in order, so that a new
    channel reads the new ones before it: it is drawn after they were silenced."""
    each = network.convolutions - 1
    for position, dead in enumerate(found):
        block = network.blocks[position // each]
        assert isinstance(block, ConditionedBlock)  # for the type checker
        yield block, position % each, dead


def _convolution(block: ConditionedBlock, place: int) -> nn.Conv2d:
    convolution = block.convolutions[place]
    assert isinstance(convolution, nn.Conv2d)  # for the type checker
    return convolution


def _silence(block: ConditionedBlock, place: int, dead: Tensor) -> None:
    """Set to zero how the next convolution reads the dead channels."""
    _convolution(block, place + 1).weight[:, dead] = 0


def _restart(block: ConditionedBlock, place: int, dead: Tensor) -> None:
    """Draw the kernels of the dead channels as at the start of a training."""
    convolution = _convolution(block, place)
    fresh = nn.Conv2d(convolution.in_channels, convolution.out_channels, 3, padding=1)
    start_convolution(fresh, 1.0)
    convolution.weight[dead] = fresh.weight.to(convolution.weight)[dead]
    assert convolution.bias is not None  # for the type checker
    convolution.bias[dead] = 0


def _clear_condition(network: Conditioned, block: int, dead: Tensor) -> None:
    """Set to zero what the condition adds to the dead channels of a block's first convolution."""
    layer = network.condition.fc2
    for parameter in (layer.weight, layer.bias):
        parameter.view(len(network.blocks), network.channels, -1)[block, dead] = 0
