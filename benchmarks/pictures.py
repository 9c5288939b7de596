"""Drawn pictures for measurements."""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

STRIP_ROWS = 64
"""Rows drawn at a time."""


@functools.cache
def draw_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG with edges and gradients, about as large in bytes as a photograph."""
    buffer = io.BytesIO()
    Image.fromarray(draw(width, height)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def draw(width: int, height: int) -> Pixels:
    """Return edges and gradients, [height, width, 3]."""
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        y, x = np.mgrid[top : min(height, top + STRIP_ROWS), 0:width]
        waves = np.sin(x / 5) * np.cos(y / 7) + np.sin((x + y) / 11) + (x // 17 + y // 13) % 2
        planes = np.stack([waves, np.roll(waves, 7, 1), -waves], -1)
        pixels[top : top + STRIP_ROWS] = (127 + 50 * planes).clip(0, 255)
    return pixels


ENDLESS_SIDE = 1984


@functools.cache
def draw_endless_jpeg(scans: int = 20_000, side: int = ENDLESS_SIDE) -> bytes:
    """Return a JPEG of `side` pixels a side that takes minutes to decode, and 300 kB.

    Its last progressive scan, which changes nothing, comes again and again. A scan of a few bytes
    makes a decoder visit every block of the picture.
    """
    buffer = io.BytesIO()
    grey = Image.new("L", (side, side), 128)
    grey.save(buffer, "JPEG", progressive=True, quality=50)
    data = buffer.getvalue()
    start, end = data.rindex(b"\xff\xda"), -len(b"\xff\xd9")
    return data[:start] + data[start:end] * scans + data[end:]


def draw_noise(width: int, height: int) -> Pixels:
    """Return noise, [height, width, 3]."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
