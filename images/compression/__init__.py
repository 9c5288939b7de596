"""How coarsely a lossy encoder quantised a picture, read from the header; no pixel is decoded.

The one scale for all formats is the quality of a JPEG that is as damaged. JPEG states its steps
(ITU-T T.81, B.2.4.1), WebP and AVIF an index into their standard's table of steps: those became
qualities by measurement.

A lossy header that cannot be read counts as `UNREAD_QUALITY`.
"""

from __future__ import annotations

from collections.abc import Callable

from images.compression.avif import quality_of_avif
from images.compression.jpeg import quality_of_jpeg
from images.compression.jxl import quality_of_jxl
from images.compression.webp import quality_of_webp
from images.containers.common import Unread
from jobs.formats import ImageFormat

UNREAD_QUALITY = 85.0
"""The quality that is told of a lossy picture whose header is not understood.

Such a picture is mostly an AVIF of a rare kind, for a JPEG or WebP with such a header cannot be
decoded either. Nearly all AVIF are lossy, and encoders' defaults lie about here (Pillow's: 83 for
WebP, 90 for AVIF): measured over qualities from 50 up, this errs by 0.2 in strength, and to call
the picture clean by 0.4.
"""


def jpeg_quality(data: bytes, image_format: ImageFormat) -> float | None:
    """Return the quality, from 1 to 100, of a JPEG that is as damaged as this encoded picture;
    None for a picture that was compressed without loss.

    It takes any bytes and bounded time: what cannot be read is `UNREAD_QUALITY` in a format that is
    lossy or may be. A JPEG's quality is that of the Independent JPEG Group's library, interpolated.
    """
    try:
        return _READERS[image_format](data)
    except Unread:
        return UNREAD_QUALITY


_READERS: dict[ImageFormat, Callable[[bytes], float | None]] = {
    ImageFormat.PNG: lambda data: None,
    ImageFormat.JPEG: quality_of_jpeg,
    ImageFormat.WEBP: quality_of_webp,
    ImageFormat.AVIF: quality_of_avif,
    ImageFormat.JXL: quality_of_jxl,
}
