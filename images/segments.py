"""Encoded files with segments put in, never held twice: a large one has hundreds of megabytes."""

from __future__ import annotations

import io
from collections.abc import Callable

Write = Callable[[memoryview], int]
"""Writes a file into a buffer, and returns its length in bytes."""


def written(write: Write, most: int, head: int, segments: bytes) -> bytes:
    """Return what `write` writes, at most so many bytes, with segments put in behind its first
    `head` bytes.

    It is written as far behind the start of the buffer as the segments are long, so that only its
    head moves; and the buffer that it lies in is what is returned.
    """
    shift = len(segments)
    file = io.BytesIO(bytes(shift + most))  # pages that nobody writes to take no memory
    with file.getbuffer() as buffer:
        with buffer[shift:] as rest:
            length = write(rest)
        buffer[: shift + head] = bytes(buffer[shift : shift + head]) + segments
    file.truncate(shift + length)
    return file.getvalue()
