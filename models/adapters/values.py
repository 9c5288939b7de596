"""The numbers of a foreign graph: order of channels, range, mean and deviation; or luma alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapters.record import Adapter, Colours

FloatArray = NDArray[np.float32]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""


def luma_of(image: FloatArray) -> FloatArray:
    """Return the luma [B, 1, H, W] of an image [B, 3, H, W]; exact for equal channels."""
    green = image[:, 1:2]
    red, blue = image[:, 0:1] - green, image[:, 2:3] - green
    luma: FloatArray = green + LUMA[0] * red + LUMA[2] * blue
    return luma


def to_graph(image: FloatArray, adapter: Adapter) -> NDArray[Any]:
    """Return the graph's input [B, C, H, W] for an image [B, 3, H, W] of red, green and blue in
    [0, 1]."""
    if adapter.colours is Colours.LUMA:
        image = luma_of(image)
    elif adapter.colours is Colours.BGR:
        image = image[:, ::-1]
    values = (image * np.float32(adapter.range) - _column(adapter.mean)) / _column(adapter.std)
    return np.ascontiguousarray(values, np.float16 if adapter.half else np.float32)


def from_graph(values: NDArray[Any], adapter: Adapter) -> FloatArray:
    """Return an output [B, C, H, W] of the graph as red, green and blue, or luma, where white is 1;
    not clamped."""
    levels = values.astype(np.float32) * _column(adapter.std) + _column(adapter.mean)
    levels /= np.float32(adapter.output_range)
    return levels[:, ::-1] if adapter.colours is Colours.BGR else levels


def _column(numbers: tuple[float, ...]) -> FloatArray:
    return np.array(numbers, np.float32)[:, None, None]
