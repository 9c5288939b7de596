"""Frames of an animated PNG (APNG) of at most 8 bits, decoded and composed by Pillow."""

from __future__ import annotations

import io

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from images.containers.png_parts import for_animation
from images.picture import Samples
from jobs.errors import CorruptImage


def decode_apng(data: bytes, frame: int) -> Samples:
    """Return the samples [H, W, 4] of a frame, counted from 0, composed with those before; the
    picture that stands for an animation where it is not shown does not count. Raises CorruptImage
    where a frame is missing, and whatever Pillow raises for damaged data."""
    with PngImageFile(io.BytesIO(for_animation(data))) as image:
        image.seek(frame + bool(image.default_image))
        if image.tell() < frame:
            raise CorruptImage
        image.load()
        return np.asarray(image.convert("RGBA"))
