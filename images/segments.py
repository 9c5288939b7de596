"""Insertion of segments into an encoded file without a second copy of it."""

from __future__ import annotations

import io
from collections.abc import Callable

Write = Callable[[memoryview], int]
"""Writes a file into a buffer and returns its length in bytes."""


def written(write: Write, most: int, head: int, segments: bytes) -> bytes:
    """Return the file that `write` produces, of at most `most` bytes, with segments inserted after
    its first `head` bytes.

    The file is written at an offset of the segments' length, so that only its head moves, and the
    buffer itself is returned.
    """
    shift = len(segments)
    file = io.BytesIO(bytes(shift + most))  # untouched pages take no memory
    with file.getbuffer() as buffer:
        with buffer[shift:] as rest:
            length = write(rest)
        buffer[: shift + head] = bytes(buffer[shift : shift + head]) + segments
    file.truncate(shift + length)
    return file.getvalue()
