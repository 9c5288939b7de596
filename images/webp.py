"""WebP by libwebp, encoded from samples without a copy.

Lossy WebP always has half the resolution of chroma. For pictures whose colours would be washed out
by it, at high quality, the chroma is fitted to the full resolution ("sharp" in libwebp), which
takes twice the time; drawings in pure colours, of which that does not save enough, are stored
without loss. Pillow cannot ask for it, and copies the samples twice first. imagecodecs
writes no metadata, so the ICC profile, EXIF and XMP are added here, as chunks of the extended
format (RFC 9649, 2.7).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images.chroma import FEW, FULL_COLOUR_QUALITY, MANY, fine_share
from images.containers.riff import chunks
from images.exif import PREFIX
from images.libwebp import encode_sharp, libwebp
from images.limits import SHARP_PIXELS
from images.metadata.exif_record import exif_of
from images.metadata.facts import NO_METADATA, Metadata
from images.picture import contiguous

METHOD = 2
"""More than twice as fast as libwebp's default of 4, for 2 % more bytes."""
LOSSLESS_METHOD = 0
"""At level 0, a quarter of the time of libwebp's next for a third more bytes."""
ICC_FLAG, ALPHA_FLAG, EXIF_FLAG, XMP_FLAG = 0x20, 0x10, 0x08, 0x04
"""Of the chunk VP8X."""


def encode_webp(
    samples: NDArray[np.uint8],
    quality: int | None,
    icc: bytes | None = None,
    metadata: Metadata = NO_METADATA,
) -> bytes:
    """Return samples [H, W, 3 or 4] as a WebP, at a quality from 1 to 100 or, for None and where
    halved chroma would not reach that quality, without loss."""
    encoded = _encoded(contiguous(samples), quality)
    exif = exif_of(metadata, has_density=False).removeprefix(PREFIX)
    parts = _Parts(icc or b"", exif, metadata.xmp)
    return _extended(encoded, samples.shape, parts) if any(parts) else encoded


def _encoded(samples: NDArray[np.uint8], quality: int | None) -> bytes:
    small = samples.shape[0] * samples.shape[1] <= SHARP_PIXELS
    high = quality is not None and small and quality >= FULL_COLOUR_QUALITY
    fine = fine_share(samples) if high else 0.0
    if quality is None or fine > MANY:
        return bytes(imagecodecs.webp_encode(samples, 0, lossless=True, method=LOSSLESS_METHOD))
    library = libwebp() if fine > FEW else None
    if library is not None:
        return encode_sharp(library, samples, quality, METHOD)
    return bytes(imagecodecs.webp_encode(samples, quality, lossless=False, method=METHOD))


class _Parts(NamedTuple):
    """Contents of the chunks beside the picture."""

    icc: bytes
    exif: bytes
    xmp: bytes


def _extended(encoded: bytes, shape: tuple[int, ...], parts: _Parts) -> bytes:
    """Return an encoded picture of this shape with its metadata."""
    stored = {kind: slice(start, end) for kind, start, end in chunks(encoded)}
    flags = ALPHA_FLAG if b"ALPH" in stored else 0
    for flag, part in zip((ICC_FLAG, EXIF_FLAG, XMP_FLAG), parts, strict=True):
        flags |= flag if part else 0
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (shape[1], shape[0]))
    before = _chunk(b"VP8X", bytes((flags, 0, 0, 0)) + sides)
    before += _chunk(b"ICCP", parts.icc)
    after = _chunk(b"EXIF", parts.exif) + _chunk(b"XMP ", parts.xmp)
    first = min(part.start for kind, part in stored.items() if kind != b"VP8X") - 8
    picture = memoryview(encoded)[first:]
    length = 4 + len(before) + len(picture) + len(after)
    head = b"RIFF" + struct.pack("<I", length) + b"WEBP" + before
    return b"".join((head, picture, after))


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk, b"" for one without content."""
    if not content:
        return b""
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
