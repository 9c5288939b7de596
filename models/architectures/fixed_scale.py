"""Networks of one integer scale, and the antialiased resize that takes them to any below it.

Such a network always enlarges by its own integer scale, and so serves real scales up to that one:
the enlarged picture is shrunk to the grid's size by Keys' cubic (IEEE TASSP 1981, a = -0.5),
stretched by the ratio so that nothing aliases, as Pillow's bicubic does. At its own scale that is
the identity. Choose the network of the next integer scale.

Each axis is a few small matrix products per input pixel, computed from the grid: an output
pixel lies within its nearest input pixel, and its filter reaches 2 scale / requested <= 2 scale
enlarged pixels further, so the enlarged pixels of two input pixels on either side are enough.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from models.architectures.network import Grid, Network

REACH = 2
"""Input pixels on either side of an output pixel's nearest one that the resize reads."""


class FixedScale(Network):
    """A network that enlarges by one integer scale, and serves the real scales from 1 to it.

    forward: as for networks; ValueError for an output that is larger than `max_scale` times the
    input. An exported graph does not check: its caller must keep to `max_scale`.
    """

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__((channels,))
        self.scale = scale
        self.max_scale = float(scale)

    @abstractmethod
    def enlarge(self, image: Tensor) -> Tensor:
        """Return the image [B, 3, H, W], in [0, 1], at the network's scale: [B, 3, sH, sW]."""

    def forward(self, image: Tensor, grid: Grid, channels: int) -> Tensor:
        if not torch.compiler.is_exporting():
            self._refuse_larger(image, (grid.row_index.shape[0], grid.column_index.shape[0]))
        rows = resize_weights(grid.row_offset, grid.condition[0], self.scale)
        columns = resize_weights(grid.column_offset, grid.condition[1], self.scale)
        large = _resize_rows(self.enlarge(image), rows, grid.row_index)
        return _resize_rows(large.transpose(2, 3), columns, grid.column_index).transpose(2, 3)

    def _refuse_larger(self, image: Tensor, size: tuple[int, int]) -> None:
        height, width = image.shape[2:]
        if size[0] > self.scale * height or size[1] > self.scale * width:
            raise ValueError(
                f"this network enlarges at most {self.scale} times: not {height} x {width} pixels "
                f"to {size[0]} x {size[1]}"
            )


def cubic(distance: Tensor) -> Tensor:
    """Return Keys' cubic kernel (a = -0.5) at `distance`, in pixels; 0 from 2 on."""
    d = distance.abs()
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((2.5 - 0.5 * d) * d - 4) * d + 2
    return torch.where(d < 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def resize_weights(offset: Tensor, inverse_scale: Tensor, scale: int) -> Tensor:
    """Return the weights [n, slots, 2 REACH + 1, scale] of the enlarged pixels around each output
    pixel; they sum to 1 and are 0 outside the picture.

    offset [n, slots] and inverse_scale [] as in `models.geometry.AxisGrid`.
    """
    count = offset.shape[0]
    around = torch.arange(-REACH, REACH + 1, device=offset.device)
    within = torch.arange(scale, device=offset.device)
    # Centres in enlarged pixels, from the nearest input pixel's first edge.
    source = (around[:, None] * scale + within).to(offset.dtype) + 0.5
    target = scale * (offset[:, :, None, None] + 0.5)
    stretch = (scale * inverse_scale).clamp(min=1.0)
    inputs = torch.arange(count, device=offset.device)[:, None] + around
    inside = ((inputs >= 0) & (inputs < count))[:, None, :, None]
    weights = cubic((source - target) / stretch) * inside
    return weights / weights.sum((2, 3), keepdim=True)


def _resize_rows(image: Tensor, weights: Tensor, index: Tensor) -> Tensor:
    """Resize the columns of image [B, C, scale n, X] to [B, C, outputs, X]."""
    batch, channels, _, across = image.shape
    count, slots, windows, scale = weights.shape
    wide = batch * channels * across
    rows = image.permute(2, 0, 1, 3).reshape(count, scale, wide)
    rows = F.pad(rows, (0, 0, 0, 0, REACH, REACH))
    resized = torch.bmm(weights[:, :, 0], rows[:count])
    for window in range(1, windows):
        resized = resized + torch.bmm(weights[:, :, window], rows[window : window + count])
    chosen = resized.reshape(count * slots, wide).index_select(0, index)
    return chosen.reshape(index.shape[0], batch, channels, across).permute(1, 2, 0, 3)
