"""The input `pixels`: samples of a picture, which become a file by a head before them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from images.raw_tiff import CHANNELS, tiff_head
from jobs.errors import InvalidRequest
from scheduling.request import shown
from service.inference.protocol import PIXELS


def pixels_head(shape: Sequence[int], count: int) -> bytes:
    """Return the head of a file whose samples are the `count` bytes of a tensor of this shape, with
    the rows from top to bottom. Raises InvalidRequest for another shape or number of bytes."""
    height, width, channels = _picture_shape(shape)
    if math.prod(shape) != count:
        raise InvalidRequest(
            f"'{PIXELS}' of shape {_text(shape)} has {shown(str(math.prod(shape)))} bytes, but its "
            f"binary data has {count}."
        )
    return tiff_head(height, width, channels)


def _picture_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    height, width, channels = shape[-3:] if len(shape) in (3, 4) else (0, 0, 0)
    if channels not in CHANNELS or math.prod(shape[:-3]) != 1:
        raise InvalidRequest(
            f"'{PIXELS}' must have the shape [height, width, channels], or [1, height, width, "
            f"channels], with 1 (grey), 3 (RGB) or 4 (RGB and transparency) channels; got "
            f"{_text(shape)}."
        )
    return height, width, channels


def _text(shape: Sequence[int]) -> str:
    return shown(str(list(shape)))
