"""The elastic network's trunk, for any head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from models.architectures.elastic import ElasticTrunk
from models.architectures.network import Encoder


class ElasticEncoder(ElasticTrunk, Encoder):
    """See `ElasticTrunk`; exactly local."""

    def __init__(
        self, channels: int, blocks: int, widths: Sequence[int], gate_every: int = 2
    ) -> None:
        super().__init__(channels, widths, 2 * blocks + 1)
        self.build(channels, blocks, gate_every)

    def forward(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        return self.trunk(image, inverse_scale, channels)
