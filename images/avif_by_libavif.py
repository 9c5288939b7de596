"""AVIF by libavif itself: 10 bits a sample, and code points of colours (`nclx`)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import imagecodecs
import numpy as np

from images import libavif
from images.avif_by_pillow import SPEED
from images.colour_space import SRGB, Cicp
from images.exif import PREFIX
from images.metadata.exif_record import exif_of
from images.metadata.facts import Metadata
from images.picture import Samples, contiguous, strips
from jobs.errors import CorruptImage, UnsupportedImage
from jobs.formats import ImageFormat

BITS = 10
"""Of samples with more than 8: every decoder of AVIF's main profile reads them."""
BT601, BT2020 = 6, 9
"""Matrix coefficients (ITU-T H.273, table 4); decoders read them from the file."""
THREADS = 2
"""More threads take more memory; a worker has few cores."""


def libavif_found() -> bool:
    """Return whether this installation can."""
    return libavif.libavif() is not None


class AvifError(Exception):
    """libavif refused: the picture, or a setting, is not valid."""


def decode_deep_avif(data: bytes, bits: int) -> Samples:
    """Return the samples [H, W] or [H, W, 2..4] of an AVIF of 10 or 12 bits as 16 bits, not turned
    upright. Raises imagecodecs.AvifError for damaged data."""
    samples: Samples = imagecodecs.avif_decode(data)
    return samples if samples.dtype != np.uint16 else _widened(samples, bits)


def decode_deep_frame(data: bytes, frame: int, width: int, height: int) -> Samples:
    """Return the samples [H, W, 3 or 4] of a frame, counted from 0, of an animated AVIF of 10 or 12
    bits as 16 bits. Its size is checked before it is converted.

    Raises CorruptImage for another size, and AvifError for damaged data.
    """
    library = libavif.libavif()
    if library is None:
        raise UnsupportedImage(f"This installation reads {ImageFormat.AVIF.label} of 8 bits alone.")
    with _made(library, "Decoder") as decoder:
        settings = decoder.contents
        settings.max_threads, settings.source = THREADS, libavif.TRACKS
        settings.ignore_exif = settings.ignore_xmp = 1
        settings.most_pixels, settings.most_side = width * height, max(width, height)
        settings.strict_flags = libavif.ALPHA_SIZE_REQUIRED
        _check(library.avifDecoderSetIOMemory(decoder, data, len(data)))
        _check(library.avifDecoderParse(decoder))
        _check(library.avifDecoderNthImage(decoder, frame))
        return _samples(library, settings.picture, width, height)


def _samples(library: ctypes.CDLL, picture: Any, width: int, height: int) -> Samples:
    """Return the samples of a decoded picture of libavif's, which must have this size."""
    facts = picture.contents
    if (facts.width, facts.height) != (width, height):
        raise CorruptImage
    channels, kind = (4 if facts.alpha_plane else 3), (np.uint16 if facts.depth > 8 else np.uint8)
    samples: Samples = np.empty((height, width, channels), kind)
    pixels = _pixels(library, picture, samples)
    pixels.depth = facts.depth
    _check(library.avifImageYUVToRGB(picture, pixels))
    return samples if kind is np.uint8 else _widened(samples, facts.depth)


def _widened(samples: Samples, bits: int) -> Samples:
    """Change samples of 10 or 12 bits to 16, and return them."""
    most = (1 << bits) - 1
    levels = np.rint(np.arange(most + 1) * (65535 / most)).astype(np.uint16)
    for rows in strips(*samples.shape[:2]):
        samples[rows] = levels[samples[rows]]
    return samples


def encode_deep_avif(
    samples: Samples,
    quality: int,
    full_colour: bool,
    space: Cicp | None,
    icc: bytes | None,
    metadata: Metadata,
) -> bytes:
    """Return samples [H, W, 3 or 4] as an AVIF with loss, at a quality from 1 to 100: of 10 bits if
    they have 16. Chroma has half the resolution unless `full_colour`. Colours are those of `space`,
    and else of the profile, and else sRGB.

    Raises UnsupportedImage where libavif is missing.
    """
    library = libavif.libavif()
    if library is None:
        raise UnsupportedImage(f"This installation writes {ImageFormat.AVIF.label} in sRGB alone.")
    height, width = samples.shape[:2]
    depth = BITS if samples.itemsize == 2 else 8
    chroma = libavif.YUV444 if full_colour else libavif.YUV420
    with _made(library, "Image", width, height, depth, chroma) as picture:
        _describe(library, picture, space, icc)
        _annotate(library, picture, metadata)
        _fill(library, picture, contiguous(samples))
        return _written(library, picture, quality)


def _check(status: int) -> None:
    if status != libavif.OK:
        raise AvifError(f"libavif's error {status}")


@contextmanager
def _made(library: ctypes.CDLL, kind: str, *arguments: int) -> Iterator[Any]:
    """Yield a structure that the library makes, and destroy it."""
    made = getattr(library, f"avif{kind}Create")(*arguments)
    if not made:
        raise MemoryError
    try:
        yield made
    finally:
        getattr(library, f"avif{kind}Destroy")(made)


def _describe(library: ctypes.CDLL, picture: Any, space: Cicp | None, icc: bytes | None) -> None:
    stated = space or (Cicp(2, 2) if icc else SRGB)
    facts = picture.contents
    facts.primaries, facts.transfer = stated.primaries, stated.transfer
    facts.matrix = BT2020 if stated.primaries == 9 else BT601
    facts.yuv_range = libavif.FULL_RANGE
    if icc and space is None:
        _check(library.avifImageSetProfileICC(picture, icc, len(icc)))


def _annotate(library: ctypes.CDLL, picture: Any, metadata: Metadata) -> None:
    record = exif_of(metadata, has_density=False).removeprefix(PREFIX)
    if record:
        _check(library.avifImageSetMetadataExif(picture, record, len(record)))
    if metadata.xmp:
        _check(library.avifImageSetMetadataXMP(picture, metadata.xmp, len(metadata.xmp)))


def _fill(library: ctypes.CDLL, picture: Any, samples: Samples) -> None:
    """Convert samples to the planes of a picture; 16 bits are rounded to its depth."""
    pixels = _pixels(library, picture, samples)
    _check(library.avifImageRGBToYUV(picture, pixels))


def _pixels(library: ctypes.CDLL, picture: Any, samples: Samples) -> libavif.Pixels:
    """Return libavif's description of samples [H, W, 3 or 4], where they lie."""
    pixels = libavif.Pixels()
    library.avifRGBImageSetDefaults(pixels, picture)
    pixels.depth = 8 * samples.itemsize
    pixels.format = libavif.RGB if samples.shape[2] == 3 else libavif.RGBA
    pixels.pixels, pixels.row_bytes = samples.ctypes.data, samples.strides[0]
    pixels.max_threads = THREADS
    return pixels


def _written(library: ctypes.CDLL, picture: Any, quality: int) -> bytes:
    file = libavif.Data()
    with _made(library, "Encoder") as encoder:
        settings = encoder.contents
        settings.max_threads, settings.speed, settings.auto_tiling = THREADS, SPEED, 1
        settings.quality = settings.alpha_quality = quality
        try:
            _check(library.avifEncoderWrite(encoder, picture, file))
            return ctypes.string_at(file.data, file.size)
        finally:
            library.avifRWDataFree(file)
