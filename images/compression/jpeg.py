"""The quality of a JPEG, from its quantisation tables (ITU-T T.81, annex B)."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from images.compression.common import interpolate
from images.containers.common import Unread
from images.containers.jpeg import START_OF_SCAN, segments
from images.containers.jpeg_frame import LOSSLESS, NO_FRAMES

MAX_TABLES = 4
"""Quantisation tables in one segment; a JPEG has four slots for them."""

# fmt: off
_LUMA_STEPS = (
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
)
"""The standard quantisation table of luma (ITU-T T.81, table K.1)."""
# fmt: on


def quality_of_jpeg(data: bytes) -> float | None:
    """Return the quality of a JPEG, None for the lossless process. Raises Unread."""
    tables: dict[int, int] = {}
    of_luma: int | None = None
    for marker, start, end in segments(data):
        if marker == 0xDB:
            tables |= _table_sums(data, start, end)
        elif marker == LOSSLESS:
            return None
        elif _is_frame_header(marker) and end - start >= 9:
            of_luma = data[start + 8]
        elif marker == START_OF_SCAN:
            break
    if of_luma not in tables:
        raise Unread
    return _quality_of_sum(tables[of_luma])


def _is_frame_header(marker: int) -> bool:
    """Return whether a marker starts a frame, of any process (T.81, table B.1). The first component
    of a frame is luma or grey; in a JPEG of RGB or CMYK, red or cyan."""
    return 0xC0 <= marker <= 0xCF and marker not in NO_FRAMES


def _table_sums(data: bytes, at: int, end: int) -> dict[int, int]:
    """Return the sum of the steps of each quantisation table in a segment (T.81, B.2.4.1)."""
    sums: dict[int, int] = {}
    for _ in range(MAX_TABLES):
        if at >= end:
            break
        wide, place = data[at] >> 4 != 0, data[at] & 15
        steps = data[at + 1 : min(end, at + (129 if wide else 65))]
        if len(steps) < (128 if wide else 64):
            break
        sums[place] = 256 * sum(steps[::2]) + sum(steps[1::2]) if wide else sum(steps)
        at += 1 + len(steps)
    return sums


def _quality_of_sum(steps: int) -> float:
    """Return the quality, a real number, whose standard luma table has this sum of steps."""
    return interpolate(_standard_sums(), steps)


@functools.cache
def _standard_sums() -> Sequence[tuple[float, float]]:
    """Return the sum of the 64 luma steps at each quality of the Independent JPEG Group's library,
    with that quality, finest first."""
    return [(_standard_sum(quality), quality) for quality in range(100, 0, -1)]


def _standard_sum(quality: int) -> int:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return sum(min(255, max(1, (step * percent + 50) // 100)) for step in _LUMA_STEPS)
