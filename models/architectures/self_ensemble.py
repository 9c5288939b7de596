"""The geometric self-ensemble: a network's mean over turned copies of its input.

What a network should enlarge the same way whichever way up it is, it enlarges a little differently,
and some of its error goes with the mean (Timofte, Rothe and Van Gool, "Seven ways to improve
example-based single image super resolution", CVPR 2016, Sec. 3.6; EDSR+ of Lim et al., CVPRW 2017).
It is part of the network, so that tiles, widths, export and the scheduler see nothing new.
"""

from __future__ import annotations

from torch import Tensor

from models.architectures.fixed_scale import FixedScale
from models.architectures.network import Network

TURNS = (2, 4)


class SelfEnsemble(Network):
    """The mean of `turns` passes of a network: its input as it is and turned by 90 degrees, or by
    0, 90, 180 and 270. It costs `turns` times what the network costs.

    forward: as for networks.
    """

    __jit_unused_properties__ = ("halo",)

    def __init__(self, network: Network, turns: int = 2) -> None:
        """Raises ValueError for another number of turns, and for a network of one integer scale."""
        super().__init__(network.widths)
        if turns not in TURNS:
            raise ValueError(f"turns must be one of {', '.join(map(str, TURNS))}; got {turns}")
        if isinstance(network, FixedScale):
            raise ValueError("a self-ensemble is of a network of any scale, not of a fixed one")
        self.network = network
        self.turns = turns
        self.max_scale = network.max_scale
        self.tile_output_pixels = network.tile_output_pixels

    @property
    def halo(self) -> int | None:
        """As far as one pass reaches: to all sides alike."""
        return self.network.halo

    def forward(
        self,
        image: Tensor,
        inverse_scale: Tensor,
        row_offset: Tensor,
        row_index: Tensor,
        column_offset: Tensor,
        column_index: Tensor,
        channels: int,
    ) -> Tensor:
        # Names for each tensor: TorchScript unpacks none. The output comes in the order that the
        # grid asks for, so it is never turned back, only transposed.
        swapped, turned = inverse_scale.flip(0), image.transpose(2, 3)
        ro, ri, co, ci = row_offset, row_index, column_offset, column_index
        back_ro, back_ri = _reversed(row_offset, row_index)
        back_co, back_ci = _reversed(column_offset, column_index)
        total: Tensor = self.network(image, inverse_scale, ro, ri, co, ci, channels)
        quarter = self.network(turned.flip(2), swapped, back_co, back_ci, ro, ri, channels)
        total = total + quarter.transpose(2, 3)
        if self.turns == 4:
            total = total + self.network(
                image.flip(2, 3), inverse_scale, back_ro, back_ri, back_co, back_ci, channels
            )
            quarter = self.network(turned.flip(3), swapped, co, ci, back_ro, back_ri, channels)
            total = total + quarter.transpose(2, 3)
        return total / self.turns


def _reversed(offset: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return `AxisGrid`'s offset [n, slots] and index [outputs] of an axis whose input pixels come
    in the opposite order, and its output pixels in the order that they had."""
    return -offset.flip(0, 1), offset.numel() - 1 - index
