"""Plain resampling of float planes by Pillow."""

from __future__ import annotations

import numpy as np
from PIL import Image

from images.picture import FloatArray

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edges, in pixels."""


def lanczos(plane: FloatArray, height: int, width: int) -> FloatArray:
    """Resample one plane [H, W] to [height, width], clamped to [0, 1]."""
    if plane.shape == (height, width):
        return plane
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    resized = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    clamped: FloatArray = np.clip(resized, np.float32(0), np.float32(1))
    return clamped


def lanczos_part(plane: FloatArray, height: int, width: int, box: Box) -> FloatArray:
    """Resample the part of a plane [H, W] inside a box to [height, width], with an antialiasing
    kernel where that is smaller. Pixels around the box contribute at its edges. Not clamped."""
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box))


def linear(plane: FloatArray, height: int, width: int, box: Box) -> FloatArray:
    """Interpolate the part of a plane [H, W] inside a box to [height, width], at least its size.

    Results stay within the range of the values. Pixels around the box contribute at its edges.
    """
    return interpolated(plane, height, width, box, Image.Resampling.BILINEAR)


def interpolated(
    plane: FloatArray, height: int, width: int, box: Box, kernel: Image.Resampling
) -> FloatArray:
    """Resample the part of a plane [H, W] inside a box to [height, width], not clamped."""
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize((width, height), kernel, box))
