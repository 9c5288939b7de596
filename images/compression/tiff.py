"""The quality of a TIFF."""

from __future__ import annotations

from images.compression.jpeg import quality_of_jpeg
from images.containers.tiff import COMPRESSION, JPEG, JPEG_TABLES, OFFSETS, TILE_OFFSETS, TiffFile

HEAD_BYTES = 1 << 12
"""Bytes of the first strip or tile that are searched for the header of a frame."""
TABLES_BYTES = 1 << 12


def quality_of_tiff(data: bytes) -> float | None:
    """Return the quality of the first page's JPEG, None for another compression. Raises Unread."""
    file = TiffFile(data)
    fields = file.directory(file.pages()[0])
    if file.number(fields.get(COMPRESSION), 1) != JPEG:
        return None
    tables = file.content(fields.get(JPEG_TABLES), TABLES_BYTES)
    start = file.number(fields.get(OFFSETS) or fields.get(TILE_OFFSETS), len(data))
    first = data[start : start + HEAD_BYTES]
    # The tables are a JPEG without a picture, which ends where that would begin.
    return quality_of_jpeg(tables[:-2] + first[2:] if tables else first)
