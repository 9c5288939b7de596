"""Raw samples as a file: the head of an uncompressed TIFF (TIFF 6.0, sections 2 to 4), before which
no byte of the samples has to change."""

from __future__ import annotations

import struct

from images.containers import tiff as tags

SHORT, LONG = 3, 4
"""Types of values."""
FILE_HEAD = struct.pack("<2sHI", b"II", 42, 8)
UNCOMPRESSED = 1
CHANNELS = (1, 3, 4)
"""Samples of a pixel: grey, RGB, or RGB with transparency."""


def tiff_head(height: int, width: int, channels: int) -> bytes:
    """Return what makes a TIFF of the samples that follow it: 8 bits each, [H, W, channels], one of
    CHANNELS. Raises ValueError for samples that a TIFF cannot hold."""
    count = height * width * channels
    if channels not in CHANNELS or not 0 < count < 1 << 31:
        raise ValueError(f"a TIFF of {height} x {width} pixels of {channels} samples")
    bits = (8,) * channels
    photometric = tags.BLACK_IS_ZERO if channels == 1 else tags.RGB
    fields: list[tuple[int, int, tuple[int, ...]]] = [
        (tags.WIDTH, LONG, (width,)),
        (tags.HEIGHT, LONG, (height,)),
        (tags.BITS, SHORT, bits),
        (tags.COMPRESSION, SHORT, (UNCOMPRESSED,)),
        (tags.PHOTOMETRIC, SHORT, (photometric,)),
        (tags.OFFSETS, LONG, (0,)),  # set below, once the head's length is known
        (tags.SAMPLES, SHORT, (channels,)),
        (tags.ROWS, LONG, (height,)),
        (tags.COUNTS, LONG, (count,)),
    ]
    if channels == 4:
        fields.append((tags.EXTRA, SHORT, (tags.UNASSOCIATED,)))
    length = len(FILE_HEAD) + len(_directory(fields, 0))
    fields[5] = (tags.OFFSETS, LONG, (length,))
    return FILE_HEAD + _directory(fields, len(FILE_HEAD))


def _directory(fields: list[tuple[int, int, tuple[int, ...]]], at: int) -> bytes:
    """Return the only directory of a file, which begins at a position, with values behind it."""
    behind_at = at + 2 + 12 * len(fields) + 4
    entries, behind = b"", b""
    for tag, kind, numbers in fields:
        values = struct.pack(f"<{len(numbers)}{'H' if kind == SHORT else 'I'}", *numbers)
        if len(values) > 4:
            place = struct.pack("<I", behind_at + len(behind))
            behind += values
        else:
            place = values.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, len(numbers)) + place
    return struct.pack("<H", len(fields)) + entries + bytes(4) + behind
