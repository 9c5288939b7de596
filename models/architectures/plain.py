"""The plain network: a few convolutions without blocks, and a head for any real scale.

It is for loads where the narrowest conditioned network is too slow. Like FSRCNN (Dong, Loy and
Tang, ECCV 2016) it keeps everything at the input's resolution, and like ESPCN (Shi et al., CVPR
2016) nearly all of it. Scale and strength are further input planes beside the colours: with so few
channels that is cheaper than adding the output of a second network.

The image passes through the chain as three ordinary channels, which start as the image itself and,
in the head, as its bilinear interpolation, so no skip connection has to be computed and added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.heads.tensor_product import (
    COLOURS,
    TensorProductHead,
    start_convolution,
)
from models.architectures.network import TrunkedNetwork

CONDITION = 3
"""1/scale for rows and for columns, and the strength."""


class Plain(TrunkedNetwork):
    """The whole network.

    forward: as for `models.architectures.conditioned`, with a single width. `layers`, at least 1,
    are the 3x3 convolutions before the head's own.
    """

    if TYPE_CHECKING:
        head: TensorProductHead

    takes_strength = True

    def __init__(self, channels: int, layers: int, basis: int) -> None:
        """Raises ValueError for fewer than 4 channels or no layer."""
        super().__init__([channels])
        if channels <= COLOURS or layers < 1:
            raise ValueError(
                f"a plain network has at least 4 channels and 1 layer, not {channels} and {layers}"
            )
        inputs = COLOURS + CONDITION
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs if layer == 0 else channels, channels, 3, padding=1)
            for layer in range(layers)
        )
        self.head = TensorProductHead(channels, basis, skip=False)
        for conv in self.layers:
            assert isinstance(conv, nn.Conv2d)  # for the type checker
            start_convolution(conv, 1.0)
            _pass_on(conv)

    @property
    def halo(self) -> int:
        """Input pixels around a tile that reach its output; the last 2 of them by the head."""
        return len(self.layers) + 2

    def trunk(self, image: Tensor, condition: Tensor, channels: int) -> Tensor:
        """Return the features [B, C, H, W] that the head reads; `condition` [3] is the grid's."""
        batch, _, height, width = image.shape
        planes = condition.view(1, CONDITION, 1, 1).expand(batch, CONDITION, height, width)
        features = torch.cat((image, planes), 1)
        for conv in self.layers:
            features = F.relu(conv(features))
        return features


def _pass_on(conv: nn.Conv2d) -> None:
    """Start the first channels as the input's colours, which are not negative and stay so."""
    with torch.no_grad():
        conv.weight[:COLOURS] = nn.init.dirac_(torch.empty_like(conv.weight[:COLOURS]))
