"""The chunks of a WebP (RFC 9649, 2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.common import MAX_PARTS, Unread


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the content of each chunk. Raises Unread after MAX_PARTS."""
    at = 12
    for _ in range(MAX_PARTS):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if len(kind) < 4:
            return
        yield kind, at + 8, at + 8 + size
        at += 8 + size + size % 2
    raise Unread
