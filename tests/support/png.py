"""PNG files written chunk by chunk (ISO/IEC 15948), at any depth and with any chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Chunk = tuple[bytes, bytes]
"""Type and content."""
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""By number of channels."""
PALETTE = 3


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the content of each kind of chunk of a file, the last of each."""
    at, found = 8, {}
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        found[kind] = data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def png(
    samples: NDArray[Any],
    depth: int = 8,
    stated: Sequence[Chunk] = (),
    colour_type: int | None = None,
) -> bytes:
    """Return samples [H, W, C], of `depth` bits, with chunks before the pixels."""
    height, width, channels = samples.shape
    kind = COLOUR_TYPES[channels] if colour_type is None else colour_type
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    bits = np.unpackbits(samples.astype(">u2").view(np.uint8), axis=-1)
    kept = bits.reshape(height, width, channels, 16)[..., 16 - depth :].reshape(height, -1)
    rows = np.pad(np.packbits(kept, axis=1), ((0, 0), (1, 0)))  # filter 0 before each
    parts = [(b"IHDR", head), *stated, (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
