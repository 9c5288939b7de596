"""JPEG by libjpeg-turbo, encoded from samples without a copy.

Pillow writes the same file, but copies colours to four bytes a pixel first. Metadata is inserted
here: the density into the JFIF segment, the others as segments of their own.
"""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images.containers import jpeg, photoshop
from images.metadata.density import to_jfif
from images.metadata.exif_record import exif_of
from images.metadata.facts import NO_METADATA, Metadata
from images.metadata.marks import COMMENT, PHOTOSHOP_OF_JPEG, XMP_OF_JPEG
from images.picture import contiguous
from images.segments import written

HEADER_END = 20
"""Bytes of SOI and the JFIF segment, which must come first."""
DENSITY = slice(13, 18)
"""Unit and density in these."""
MAX_SEGMENT = 65_533
"""Bytes of a segment without its length; EXIF, XMP and IPTC have one segment each."""
ICC_PART = MAX_SEGMENT - 14
"""Bytes of a profile in a segment, after its name, its number and the total."""
MOST_PARTS = 255
ROOM = 6
"""Bytes per pixel of incompressible data, as in libjpeg-turbo's own bound, `tjBufSize`."""


def encode_jpeg(
    samples: NDArray[np.uint8],
    quality: int,
    full_colour: bool,
    icc: bytes | None = None,
    metadata: Metadata = NO_METADATA,
) -> bytes:
    """Return samples [H, W] or [H, W, 3] as a JPEG, at a quality from 1 to 100; chroma has half the
    resolution unless `full_colour`.

    Metadata that a JPEG cannot hold is left out: a record or packet of more than a segment, a
    profile of more than 255 segments, texts with a keyword.
    """
    density = to_jfif(metadata.density)
    laid_out = contiguous(samples)
    subsampling = "444" if full_colour else "420"

    def write(buffer: memoryview) -> int:
        out: Any = buffer  # imagecodecs writes to any buffer; its stub lists fewer types
        encoded = imagecodecs.jpeg8_encode(laid_out, quality, subsampling=subsampling, out=out)
        assert len(encoded) <= len(buffer)  # else the file lies in another buffer
        if density is not None:
            buffer[DENSITY] = density
        return len(encoded)

    height, width = (-(-side // 16) * 16 for side in samples.shape[:2])
    most = ROOM * height * width + 4096
    segments = _metadata_segments(metadata) + _icc_segments(icc or b"")
    return written(write, most, HEADER_END, segments)


def holds_xmp(packet: bytes) -> bool:
    """Return whether a JPEG has room for a packet."""
    return len(XMP_OF_JPEG + packet) <= MAX_SEGMENT


def _metadata_segments(metadata: Metadata) -> bytes:
    exif = exif_of(metadata, has_density=True)
    segments = _segment(jpeg.APP1, exif) if exif else b""
    if metadata.xmp:
        segments += _segment(jpeg.APP1, XMP_OF_JPEG + metadata.xmp)
    if metadata.iptc:
        resource = photoshop.resource(photoshop.IPTC, metadata.iptc)
        segments += _segment(jpeg.APP13, PHOTOSHOP_OF_JPEG + resource)
    comments = (text.text for text in metadata.texts if text.keyword == COMMENT)
    return segments + b"".join(_segment(jpeg.COMMENT, comment.encode()) for comment in comments)


def _icc_segments(icc: bytes) -> bytes:
    """Return the segments of a profile, in numbered parts (ICC.1:2022, annex B.4)."""
    parts = [icc[start : start + ICC_PART] for start in range(0, len(icc), ICC_PART)]
    if len(parts) > MOST_PARTS:
        return b""
    return b"".join(
        _segment(jpeg.APP2, b"ICC_PROFILE\0" + bytes((number, len(parts))) + part)
        for number, part in enumerate(parts, 1)
    )


def _segment(marker: int, content: bytes) -> bytes:
    """Return a segment, b"" for one that would be too large."""
    if len(content) > MAX_SEGMENT:
        return b""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
