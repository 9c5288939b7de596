"""The chunks of a WebP (RFC 9649, 2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.common import MAX_PARTS, Unread

HEAD = 12
"""Bytes before the first chunk."""


def riff_end(data: bytes) -> int:
    """Return where the file ends by its own account; decoders read nothing behind it."""
    return 8 + int.from_bytes(data[4:8], "little")


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the content of each chunk. Raises Unread after MAX_PARTS."""
    at, stop = HEAD, min(len(data), riff_end(data))
    for _ in range(MAX_PARTS):
        if at + 8 > stop:
            return
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, at + 8 + size
        at += 8 + size + size % 2
    raise Unread
