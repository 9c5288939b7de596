"""Pictures that carry a number which survives resampling, so that a foreign one is noticed."""

from __future__ import annotations

import io
import random
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

COLUMNS, ROWS = 8, 6
MARK_BITS, CHECK_BITS = 32, 16
DARK, BRIGHT = 40, 215
GRAIN = 20
"""Largest deviation of a pixel: grain makes files large, and stays far from the middle grey."""


def drawn(mark: int, cell: int) -> bytes:
    """Return a PNG of 8 x 6 cells of `cell` pixels, dark or bright by the bits of `mark` (0 to
    2^32 - 1) and of its check sum, with grain."""
    levels = np.where(_bits(mark), BRIGHT, DARK).reshape(ROWS, COLUMNS)
    wide = np.kron(levels, np.ones((cell, cell), np.int16))
    grain = np.frombuffer(random.Random(mark).randbytes(3 * wide.size), np.uint8)
    pixels = wide[..., None] + grain.reshape(*wide.shape, 3) % (2 * GRAIN + 1) - GRAIN
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "png", compress_level=1)
    return file.getvalue()


def read(file: bytes) -> int | None:
    """Return the mark of a picture of any scale; None if it is none of ours, or damaged."""
    try:
        with Image.open(io.BytesIO(file)) as image:
            grey = np.asarray(image.convert("L"), np.float32)
    except (OSError, UnidentifiedImageError):
        return None
    height, width = grey.shape
    if height < ROWS or width < COLUMNS:
        return None
    levels = [
        float(np.mean(_middle(_middle(grey, row, ROWS).T, column, COLUMNS)))
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    bits = np.array(levels) > (DARK + BRIGHT) / 2
    mark = int("".join("1" if bit else "0" for bit in bits[:MARK_BITS]), 2)
    return mark if np.array_equal(bits, _bits(mark)) else None


def _bits(mark: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    check = zlib.crc32(mark.to_bytes(4, "big")) & ((1 << CHECK_BITS) - 1)
    return np.array([bit == "1" for bit in f"{mark:0{MARK_BITS}b}{check:0{CHECK_BITS}b}"])


def _middle(
    grey: np.ndarray[tuple[int, int], np.dtype[np.float32]], place: int, places: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return the rows in the middle half of one of `places` bands."""
    band = grey.shape[0] / places
    first = int((place + 0.25) * band)
    return grey[first : max(first + 1, int((place + 0.75) * band))]
