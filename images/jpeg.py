"""JPEG by libjpeg-turbo, encoded from samples without a copy.

Pillow writes the same file, but copies colours to four bytes a pixel first. Metadata is inserted
here, as segments APP1 and APP2.
"""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images.picture import contiguous
from images.segments import written

HEADER_END = 20
"""Bytes of SOI and the JFIF segment, which must come first."""
MAX_EXIF = 65_533
"""Bytes of a segment without its length; an EXIF record has one segment."""
ICC_PART = MAX_EXIF - 14
"""Bytes of a profile in a segment, after its name, its number and the total."""
MOST_PARTS = 255
ROOM = 6
"""Bytes per pixel of incompressible data, as in libjpeg-turbo's own bound, `tjBufSize`."""


def encode_jpeg(
    samples: NDArray[np.uint8], quality: int, full_colour: bool, icc: bytes | None, exif: bytes
) -> bytes:
    """Return samples [H, W] or [H, W, 3] as a JPEG, at a quality from 1 to 100; chroma has half the
    resolution unless `full_colour`.

    Metadata that a JPEG cannot hold is left out: an EXIF record above MAX_EXIF bytes, a profile of
    more than 255 segments.
    """
    laid_out = contiguous(samples)
    subsampling = "444" if full_colour else "420"

    def write(buffer: memoryview) -> int:
        out: Any = buffer  # imagecodecs writes to any buffer; its stub lists fewer types
        encoded = imagecodecs.jpeg8_encode(laid_out, quality, subsampling=subsampling, out=out)
        assert len(encoded) <= len(buffer)  # else the file lies in another buffer
        return len(encoded)

    height, width = (-(-side // 16) * 16 for side in samples.shape[:2])
    most = ROOM * height * width + 4096
    return written(write, most, HEADER_END, _exif_segment(exif) + _icc_segments(icc or b""))


def _exif_segment(exif: bytes) -> bytes:
    return _segment(0xE1, exif) if exif and len(exif) <= MAX_EXIF else b""


def _icc_segments(icc: bytes) -> bytes:
    """Return the segments of a profile, in numbered parts (ICC.1:2022, annex B.4)."""
    parts = [icc[start : start + ICC_PART] for start in range(0, len(icc), ICC_PART)]
    if len(parts) > MOST_PARTS:
        return b""
    return b"".join(
        _segment(0xE2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part)
        for number, part in enumerate(parts, 1)
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
