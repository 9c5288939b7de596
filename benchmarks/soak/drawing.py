"""Files of the pictures that callers send, and what their answers must be."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from benchmarks.pictures import draw
from benchmarks.soak.asks import Drawing
from images.opening import read_header
from jobs.errors import InputError

ANY_PIXELS = 1 << 62
GRAIN = 12
"""Grain makes each picture another one, also to the cache."""


def file_of(drawing: Drawing) -> bytes:
    """Return the encoded picture."""
    drawn = np.random.default_rng(drawing.seed)
    pixels = draw(drawing.width, drawing.height)
    grain = drawn.integers(0, GRAIN, (drawing.height, drawing.width, 1), np.uint8)
    file = io.BytesIO()
    _image(pixels // 2 + grain, drawing.mode).save(file, drawing.format)
    return file.getvalue()


def damaged(file: bytes, seed: int) -> bytes:
    """Return a file that lacks its end, and has other bytes in its middle."""
    drawn = np.random.default_rng(seed)
    kept = bytearray(file[: max(16, int(len(file) * drawn.uniform(0.1, 0.7)))])
    place = int(drawn.integers(len(kept) // 2, len(kept)))
    kept[place : place + 8] = drawn.bytes(8)
    return bytes(kept)


def fault_of(file: bytes, width: int, height: int) -> str:
    """Return what is wrong with a picture that should have these sides; empty for a right one."""
    try:
        header = read_header(file, ANY_PIXELS)
    except InputError as error:
        return f"the picture cannot be read: {error.code}"
    if (header.width, header.height) != (width, height):
        return f"the picture has {header.width}x{header.height} pixels, not {width}x{height}"
    return ""


def _image(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    image = Image.fromarray(pixels)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(pixels[:, :, 1]))
        return image
    return image.quantize(64) if mode == "P" else image.convert(mode)
