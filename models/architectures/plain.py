"""The plain network: a few convolutions without blocks, and a head for any real scale.

For when the narrowest of the conditioned networks is too slow: as FSRCNN (Dong, Loy and Tang, ECCV
2016) it keeps everything at the input's resolution, and as ESPCN (Shi et al., CVPR 2016) nearly all
of it. It is told the scale and the strength as `models.architectures.conditioned` is.

The image goes through the chain as three channels of the others' kind, which start as it is and as
bilinear interpolation of it, so no skip connection has to be computed and added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.architectures.conditioned import ConditionBias
from models.architectures.heads.tensor_product import (
    COLOURS,
    TensorProductHead,
    start_convolution,
)
from models.architectures.network import TrunkedNetwork


class Plain(TrunkedNetwork):
    """The whole network.

    forward: as for `models.architectures.conditioned`, with the one width that there is. `layers`,
    at least 1, are the convolutions before the head's own: the first of size `kernel`, which is
    odd, the others 3.
    """

    if TYPE_CHECKING:
        head: TensorProductHead

    takes_strength = True

    def __init__(self, channels: int, layers: int, basis: int, kernel: int = 5) -> None:
        """Raises ValueError for fewer than 4 channels, no layer or an even kernel."""
        super().__init__([channels])
        if channels <= COLOURS or layers < 1 or kernel % 2 == 0:
            raise ValueError(
                "a plain network has at least 4 channels, 1 layer and an odd kernel, not "
                f"{channels}, {layers} and {kernel}"
            )
        self.reach = kernel // 2
        self.entry = nn.Conv2d(COLOURS, channels, kernel, padding=self.reach)
        self.condition = ConditionBias(1, channels, hidden=16)
        self.layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(layers - 1)
        )
        self.head = TensorProductHead(channels, basis, skip=False)
        for conv in (self.entry, *self.layers):
            assert isinstance(conv, nn.Conv2d)  # for the type checker
            start_convolution(conv, 1.0)
            _pass_on(conv)

    @property
    def halo(self) -> int:
        """Input pixels around a tile that reach its output; the last 2 of them by the head."""
        return self.reach + len(self.layers) + 2

    def trunk(self, image: Tensor, inverse_scale: Tensor, channels: int) -> Tensor:
        """Return the features [B, C, H, W] that the head reads; `inverse_scale` is the condition
        [3]."""
        bias = self.condition.of_block(self.condition(inverse_scale, 1.0), 0, channels)
        features = F.relu(self.entry(image) + bias)
        for conv in self.layers:
            features = F.relu(conv(features))
        return features


def _pass_on(conv: nn.Conv2d) -> None:
    """Start the first channels as the colours that come in: they are not negative, and stay so."""
    with torch.no_grad():
        conv.weight[:COLOURS] = nn.init.dirac_(torch.empty_like(conv.weight[:COLOURS]))
