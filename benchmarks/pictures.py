"""Pictures to measure with, drawn."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image


@functools.cache
def draw_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG with edges and gradients, of about a photograph's size in bytes."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.sin(x / 5) * np.cos(y / 7) + np.sin((x + y) / 11) + (x // 17 + y // 13) % 2
    planes = np.stack([waves, np.roll(waves, 7, 1), -waves], -1)
    pixels = (127 + 50 * planes).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
