"""How coarsely a lossy encoder quantised a picture, read from its header without decoding pixels.

All formats are expressed as the quality of an equally damaged JPEG. JPEG states its quantisation
steps (ITU-T T.81, B.2.4.1). WebP and AVIF state an index into a table of steps, which is mapped to
a quality by measurement. A lossy header that cannot be read counts as `UNREAD_QUALITY`.
"""

from __future__ import annotations

from collections.abc import Callable

from images.compression.avif import quality_of_avif
from images.compression.jpeg import quality_of_jpeg
from images.compression.jxl import quality_of_jxl
from images.compression.tiff import quality_of_tiff
from images.compression.webp import quality_of_webp
from images.containers.common import Unread
from jobs.formats import ImageFormat

UNREAD_QUALITY = 85.0
"""Quality assumed for a lossy picture whose header cannot be read: every HEIC, every lossy JPEG XL,
rare AVIF.

Encoders' defaults are near it (Pillow's equal 83 for WebP and 90 for AVIF). Over AVIF qualities
from 50 up, this value errs by 0.2 in strength; treating such pictures as clean errs by 0.4.
"""


def jpeg_quality(data: bytes, image_format: ImageFormat) -> float | None:
    """Return the quality, 1 to 100, of a JPEG as damaged as this encoded picture; None for lossless
    compression.

    Accepts any bytes, in bounded time. Qualities are those of the Independent JPEG Group's library,
    interpolated.
    """
    try:
        if image_format in _READERS:
            return _READERS[image_format](data)
    except Unread:
        return UNREAD_QUALITY
    return UNREAD_QUALITY if image_format.lossy else None


_READERS: dict[ImageFormat, Callable[[bytes], float | None]] = {
    ImageFormat.JPEG: quality_of_jpeg,
    ImageFormat.WEBP: quality_of_webp,
    ImageFormat.AVIF: quality_of_avif,
    ImageFormat.JXL: quality_of_jxl,
    ImageFormat.TIFF: quality_of_tiff,
}
