"""Square windows over a feature map, for attention with quadratic cost."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def extend_to_multiple(x: Tensor, step: int, reflect: bool = False) -> Tensor:
    """Return x [..., H, W] padded at the bottom and the right to multiples of `step`, by repeating
    the last row or column, or by mirroring the map about it."""
    for axis in (-2, -1):
        length = x.shape[axis]
        place = torch.arange(_count(length, step) * step, device=x.device)
        inside = torch.minimum(place, 2 * (length - 1) - place) if reflect else place
        x = x.index_select(axis, inside.clamp(0, length - 1))
    return x


def window_sides(window: int | None, height: int, width: int) -> tuple[int, int]:
    """Return height and width of the windows of a map, at most the map's own, because padding
    changes nothing and costs as much. None is the whole map. An exported graph has dynamic sizes,
    and always uses the window."""
    if window is None:
        return height, width
    if torch.compiler.is_exporting():
        return window, window
    return min(window, height), min(window, width)


def split_windows(x: Tensor, high: int, wide: int) -> Tensor:
    """Cut x [B, C, H, W] into windows [B * n, C, high, wide], row by row within a picture;
    beyond H and W they are zero."""
    batch, channels, height, width = x.shape
    down, across = _count(height, high), _count(width, wide)
    x = F.pad(x, (0, across * wide - width, 0, down * high - height))
    x = x.reshape(batch, channels, down, high, across, wide)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, high, wide)


def join_windows(windows: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Undo `split_windows`: windows [B * n, C, high, wide] -> [B, C, height, width]."""
    _, channels, high, wide = windows.shape
    down, across = _count(height, high), _count(width, wide)
    x = windows.reshape(batch, down, across, channels, high, wide).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(batch, channels, down * high, across * wide)[:, :, :height, :width]


def _count(length: int, step: int) -> int:
    # Not -(-length // step): ONNX rounds quotients towards zero.
    return (length + step - 1) // step
