"""Bounds and the error that all container readers share."""

from __future__ import annotations

MAX_PARTS = 4096
"""Segments of a JPEG, chunks of a WebP, boxes, items or units of an AVIF that are read. Real files
have tens, or as many as tiles; a hostile one could have millions."""


class Unread(Exception):
    """The header is damaged, or of a kind that this project does not read."""
