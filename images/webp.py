"""WebP by libwebp, encoded from samples without a copy.

Pillow writes the same picture, but copies the samples twice first. imagecodecs writes no metadata,
so the ICC profile and EXIF are added here, as chunks of the extended format (RFC 9649, 2.7).
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images.containers.riff import chunks
from images.exif import PREFIX
from images.picture import contiguous

METHOD = 2
"""More than twice as fast as libwebp's default of 4, for 2 % more bytes."""
ICC_FLAG, ALPHA_FLAG, EXIF_FLAG = 0x20, 0x10, 0x08
"""Of the chunk VP8X."""


def encode_webp(samples: NDArray[np.uint8], quality: int, icc: bytes | None, exif: bytes) -> bytes:
    """Return samples [H, W, 3 or 4] as a WebP with loss, at a quality from 1 to 100."""
    laid_out = contiguous(samples)
    encoded = bytes(imagecodecs.webp_encode(laid_out, quality, lossless=False, method=METHOD))
    return _extended(encoded, samples.shape, icc or b"", exif) if icc or exif else encoded


def _extended(encoded: bytes, shape: tuple[int, ...], icc: bytes, exif: bytes) -> bytes:
    """Return an encoded picture of this shape with its metadata."""
    stored = {kind: slice(start, end) for kind, start, end in chunks(encoded)}
    flags = (ICC_FLAG if icc else 0) | (EXIF_FLAG if exif else 0)
    flags |= ALPHA_FLAG if b"ALPH" in stored else 0
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (shape[1], shape[0]))
    before = _chunk(b"VP8X", bytes((flags, 0, 0, 0)) + sides)
    before += _chunk(b"ICCP", icc) if icc else b""
    after = _chunk(b"EXIF", exif.removeprefix(PREFIX)) if exif else b""
    first = min(part.start for kind, part in stored.items() if kind != b"VP8X") - 8
    picture = memoryview(encoded)[first:]
    length = 4 + len(before) + len(picture) + len(after)
    head = b"RIFF" + struct.pack("<I", length) + b"WEBP" + before
    return b"".join((head, picture, after))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
