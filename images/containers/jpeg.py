"""The marker segments of a JPEG (ITU-T T.81, B.1.1)."""

from __future__ import annotations

from collections.abc import Iterator

from images.containers.common import MAX_PARTS

START_OF_SCAN = 0xDA
APP0, APP1, APP2, APP13 = 0xE0, 0xE1, 0xE2, 0xED
COMMENT = 0xFE
MAX_JUNK = 1 << 16
"""Bytes between segments that belong to none."""


def segments(data: bytes, at: int = 2) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the content of each segment from a position up to the next
    scan's.

    Bytes between segments are skipped within bounds, as decoders do (T.81, B.1.1.2). Ends before
    the first scan where these bounds or MAX_PARTS are exceeded.
    """
    junk = 0
    for _ in range(MAX_PARTS):
        start = data.find(b"\xff", at)
        junk += start - at
        if start < 0 or start + 4 > len(data) or junk > MAX_JUNK:
            return
        marker = data[start + 1]
        if marker in (0x00, 0xFF):  # padding
            at = start + 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD9:  # markers without a segment
            at = start + 2
        else:
            at = start + 2 + int.from_bytes(data[start + 2 : start + 4])
            yield marker, start + 4, min(at, len(data))
            if marker == START_OF_SCAN:
                return
