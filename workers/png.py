"""PNG by libpng, for the depths and speed that Pillow does not have.

Pillow reduces 16-bit colour to 8 bits. libpng's metadata is not reached through imagecodecs, so
the ICC profile and EXIF are put in as chunks here.
"""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np

from workers.picture import Samples

HEADER_END = 33
"""Signature and IHDR, behind which a profile must stand."""


def decode_png(data: bytes) -> Samples:
    """Return the samples [H, W] or [H, W, 2..4] at the file's own depth; a transparent colour
    becomes an alpha channel. Raises imagecodecs.PngError for damaged data."""
    samples: Samples = imagecodecs.png_decode(data)
    return samples


def encode_png(samples: Samples, level: int, icc: bytes | None, exif: bytes) -> bytes:
    """Write samples [H, W] or [H, W, 2..4] of 8 or 16 bits at a zlib level from 0 to 9."""
    data = bytes(imagecodecs.png_encode(np.ascontiguousarray(samples), level=level))
    extra = b""
    if icc:
        extra += _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc))
    if exif:
        extra += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return data[:HEADER_END] + extra + data[HEADER_END:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
