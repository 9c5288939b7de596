"""The quality of a JPEG XL."""

from __future__ import annotations

from images.containers.common import Unread
from images.containers.jxl import has_jpeg, read_jxl


def quality_of_jxl(data: bytes) -> float | None:
    """Return None for a JPEG XL without loss. Raises Unread for any other: its quantisation lies
    behind entropy-coded data, and a JPEG's tables are packed."""
    if read_jxl(data).xyb or has_jpeg(data):
        raise Unread
    return None
