"""BMP pictures in the layouts that Pillow does not write: 4 and 16 bits, top-down, and runs."""

from __future__ import annotations

import struct

import numpy as np

WIDTH, HEIGHT = 40, 28
RUNS = {8: 1, 4: 2}
"""The compression by runs, by bits of a pixel."""
MASKS = 3


def bmp_file(
    bits: int,
    palette: bytes = b"",
    runs: bytes | None = None,
    *,
    top_down: bool = False,
    masks: tuple[int, ...] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> bytes:
    """Return a BMP with bytes that count up as pixels, or with compressed ones. `size` is width and
    height; `masks` are those of red, green, blue and alpha."""
    width, height = size
    stored = runs
    if stored is None:
        row = (width * bits + 31) // 32 * 4
        stored = (np.arange(row * height, dtype=np.uint32) % 251).astype(np.uint8).tobytes()
    packed = struct.pack(f"<{len(masks)}I", *masks)
    method = RUNS[bits] if runs is not None else MASKS if masks else 0
    head_bytes = 40 + len(packed) if len(masks) == 4 else 40
    sides = width, -height if top_down else height
    head = struct.pack("<IiiHHIIiiII", head_bytes, *sides, 1, bits, method, 0, 11811, 11811, 0, 0)
    start = 14 + len(head) + len(packed) + len(palette)
    file = struct.pack("<2sIHHI", b"BM", start + len(stored), 0, 0, start)
    return file + head + packed + palette + stored
