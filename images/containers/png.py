"""The chunks of a PNG (ISO/IEC 15948, 5.3)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from images.containers.common import MAX_PARTS, Unread

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS = 100_000
"""Chunks of a whole file. libpng writes pixels in chunks of 8 KiB, so this is 800 MB."""


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the content of each chunk.

    Raises Unread for more than MAX_PARTS chunks before the pixels, and for more than MAX_CHUNKS.
    """
    at, seen, pixels = len(SIGNATURE), 0, False
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        seen += 1
        pixels = pixels or kind == b"IDAT"
        if seen > (MAX_CHUNKS if pixels else MAX_PARTS):
            raise Unread
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def is_intact(data: bytes, start: int, end: int) -> bool:
    """Return whether a chunk's content lies within the file and has the checksum behind it."""
    return data[end : end + 4] == struct.pack(">I", zlib.crc32(data[start - 4 : end]))
