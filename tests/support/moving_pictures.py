"""Animations of deep samples, drawn chunk by chunk (PNG) and by libavif's encoder (AVIF)."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images import libavif
from images.containers.png import SIGNATURE, chunks
from images.containers.png_parts import chunk

Deep = NDArray[np.uint16]

IDENTITY, SRGB_PRIMARIES, SRGB_TRANSFER = 0, 1, 13
"""Code points (ITU-T H.273): samples are coded as RGB, so that nothing is lost."""


class Shown(NamedTuple):
    """A frame of an animated PNG: its samples, its place, and what it does to what is there."""

    samples: Deep
    left: int = 0
    top: int = 0
    disposal: int = 0
    blend: int = 0


def animated_png(
    size: tuple[int, int], frames: Sequence[Shown], hidden: Deep | None = None
) -> bytes:
    """Return an animated PNG of width and height, with another picture in its place if `hidden`."""
    first = hidden if hidden is not None else frames[0].samples
    kinds = dict(_chunks(bytes(imagecodecs.png_encode(first))))
    head = struct.pack(">II", *size) + kinds[b"IHDR"][8:]
    parts = [SIGNATURE, chunk(b"IHDR", head), chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    number = 0
    if hidden is not None:
        parts.append(chunk(b"IDAT", kinds[b"IDAT"]))
    for at, frame in enumerate(frames):
        height, width = frame.samples.shape[:2]
        place = width, height, frame.left, frame.top
        facts = struct.pack(">5I2H2B", number, *place, 1, 10, frame.disposal, frame.blend)
        parts.append(chunk(b"fcTL", facts))
        number += 1
        pixels = _pixels(frame.samples)
        if at == 0 and hidden is None:
            parts.append(chunk(b"IDAT", pixels))
        else:
            parts.append(chunk(b"fdAT", struct.pack(">I", number) + pixels))
            number += 1
    return b"".join([*parts, chunk(b"IEND", b"")])


def _pixels(samples: Deep) -> bytes:
    found = _chunks(bytes(imagecodecs.png_encode(samples)))
    return b"".join(content for kind, content in found if kind == b"IDAT")


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(kind, data[start:end]) for kind, start, end in chunks(data)]


def animated_avif(frames: Sequence[Deep], bits: int) -> bytes:
    """Return an animated AVIF without loss, of samples [H, W, 3 or 4] below 2**bits."""
    library: Any = libavif.libavif()
    library.avifEncoderAddImage.argtypes = [
        ctypes.POINTER(libavif.Encoder),
        ctypes.POINTER(libavif.Picture),
        ctypes.c_uint64,
        ctypes.c_uint32,
    ]
    library.avifEncoderFinish.argtypes = [
        ctypes.POINTER(libavif.Encoder),
        ctypes.POINTER(libavif.Data),
    ]
    encoder, file = library.avifEncoderCreate(), libavif.Data()
    settings = encoder.contents
    settings.speed, settings.timescale, settings.max_threads = 9, 10, 1
    settings.quality = settings.alpha_quality = 100
    pictures = [_picture(library, frame, bits) for frame in frames]
    try:
        for picture in pictures:
            assert library.avifEncoderAddImage(encoder, picture, 1, 0) == libavif.OK
        assert library.avifEncoderFinish(encoder, file) == libavif.OK
        return ctypes.string_at(file.data, file.size)
    finally:
        library.avifRWDataFree(file)
        library.avifEncoderDestroy(encoder)
        for picture in pictures:
            library.avifImageDestroy(picture)


def _picture(library: Any, samples: Deep, bits: int) -> Any:
    height, width, channels = samples.shape
    picture = library.avifImageCreate(width, height, bits, libavif.YUV444)
    facts = picture.contents
    facts.primaries, facts.transfer, facts.matrix = SRGB_PRIMARIES, SRGB_TRANSFER, IDENTITY
    facts.yuv_range = libavif.FULL_RANGE
    pixels = libavif.Pixels()
    library.avifRGBImageSetDefaults(pixels, picture)
    pixels.depth, pixels.format = bits, libavif.RGB if channels == 3 else libavif.RGBA
    pixels.pixels, pixels.row_bytes = samples.ctypes.data, samples.strides[0]
    assert library.avifImageRGBToYUV(picture, pixels) == libavif.OK
    return picture


def deep_animations() -> list[bytes]:
    """Return small animations of noise, of every format that holds deep ones here."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, 65536, (2, 12, 16, 4), np.uint16)
    found = [animated_png((16, 12), [Shown(first), Shown(second[:6, :8], 3, 2, 1, 1)])]
    if libavif.libavif() is not None:
        found.append(animated_avif([first >> 6, second >> 6], 10))
    return found
