"""JPEG by libjpeg-turbo, decoded and encoded without a copy of the samples.

Pillow makes the same samples and files, but copies colours to four bytes a pixel first, and does
not tell when pixels are missing: libjpeg warns, and fills them with grey. Metadata is inserted
here: the density into the JFIF segment, the others as segments of their own.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from images.containers import jpeg, photoshop
from images.containers.common import Unread
from images.containers.jpeg_scans import completed
from images.metadata.density import to_jfif
from images.metadata.exif_record import exif_of
from images.metadata.facts import NO_METADATA, Metadata
from images.metadata.identifiers import COMMENT, PHOTOSHOP_OF_JPEG, XMP_OF_JPEG
from images.picture import contiguous
from images.segments import written
from jobs.errors import MISSING_PIXELS, CorruptImage

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
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_COMPLETE = "extraneous bytes before marker 0xd9"
"""Part of libjpeg's warning of surplus bytes behind the last pixel."""
_AMBIGUOUS = (
    "subsampling",
    "JFIF revision",
    "color transform",
    "progression",
    "extraneous bytes before marker",
)
"""Parts of an error for samplings that the TurboJPEG interface does not know, and of warnings of
what costs no pixel. Only the first warning is passed on, so one of missing pixels may follow."""
SURPLUS = b"\xff\x00" * 64


def decode_jpeg(data: bytes, mode: str) -> NDArray[np.uint8]:
    """Return the samples [H, W, 1, 3 or 4] of a JPEG of Pillow's mode L, RGB or CMYK; in CMYK 0 is
    full ink, as the files have it. An end marker may be missing.

    Raises CorruptImage where pixels are missing or damaged.
    """
    try:
        whole = completed(data)
        return _decoded(whole, _SPACES[mode], strict=True)
    except Unread:
        raise CorruptImage(MISSING_PIXELS) from None
    except ValueError as warning:
        text = str(warning)
    if "nsufficient memory" in text:
        raise MemoryError
    if _COMPLETE in text:
        return _decoded(whole, _SPACES[mode], strict=False)
    if any(part in text for part in _AMBIGUOUS):
        return _decoded_twice(whole)
    raise CorruptImage(MISSING_PIXELS if "remature end" in text else None)


def _decoded(data: bytes, space: str, strict: bool) -> NDArray[np.uint8]:
    samples: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, space, strict=strict)
    return samples


def _decoded_twice(data: bytes) -> NDArray[np.uint8]:
    """Return the samples of a JPEG by Pillow, compared with those of a longer one.

    libjpeg reads zeros behind the last bit, so the samples of a JPEG with a surplus of ones before
    its end differ where pixels are missing.
    """
    samples, other = (_by_pillow(part) for part in (data, data[:-2] + SURPLUS + data[-2:]))
    if not np.array_equal(samples, other):
        raise CorruptImage(MISSING_PIXELS)
    return samples


def _by_pillow(data: bytes) -> NDArray[np.uint8]:
    with JpegImageFile(io.BytesIO(data)) as image:
        image.load()
        samples = np.asarray(image)
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    return np.invert(samples) if image.mode == "CMYK" else samples


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
