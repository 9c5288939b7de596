"""The elastic network's head, and what LIIF's adds to it: the head of the quality tier.

The tensor-product basis makes the picture, as in the elastic network; an implicit function (LIIF,
Chen, Liu and Wang, CVPR 2021) of the same features adds what a separable basis cannot say. Its
last layer starts at zero, so what grows from a trained elastic network begins where that ended.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.architectures.elastic import TensorProductHead
from models.architectures.heads.liif import LIIF
from models.architectures.network import Head


class RefinedHead(Head):
    """forward: as for heads; the sum of `base` and of LIIF's distance from mid-grey."""

    def __init__(self, features: int, basis: int = 4, hidden: int = 64, layers: int = 2) -> None:
        base, detail = TensorProductHead(features, basis), LIIF(features, hidden, layers)
        super().__init__(max(base.halo or 0, detail.halo or 0))
        self.tile_output_pixels = detail.tile_output_pixels
        self.base = base
        self.detail = detail
        for parameter in detail.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        features: Tensor,
        image: Tensor,
        inverse_scale: Tensor,
        row_offset: Tensor,
        row_index: Tensor,
        column_offset: Tensor,
        column_index: Tensor,
    ) -> Tensor:
        grid = (inverse_scale, row_offset, row_index, column_offset, column_index)
        base: Tensor = self.base(features, image, *grid)
        detail: Tensor = self.detail(features, image, *grid)
        return base + (detail - 0.5)
