"""The header reader: facts of real images of every format, and refusals."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from images.containers.png import SIGNATURE as PNG_SIGNATURE
from images.encode import writable_formats
from images.opening import read_header
from jobs.errors import AnimatedImage, CorruptImage, EmptyBody, ImageTooLarge, UnsupportedImage
from jobs.formats import ImageFormat

LIMIT = 1_000_000
FORMATS = [f for f in writable_formats() if f is not ImageFormat.JXL]
"""Formats that Pillow writes."""


def encoded(mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    options.setdefault("format", "PNG")
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, **options)
    return buffer.getvalue()


def frames(count: int = 3) -> list[Image.Image]:
    return [Image.new("RGB", (16, 16), (80 * i, 0, 0)) for i in range(count)]


def animated(image_format: str) -> bytes:
    buffer = io.BytesIO()
    first, *rest = frames()
    first.save(buffer, format=image_format, save_all=True, append_images=rest, duration=50)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its pixels do not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        PNG_SIGNATURE
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10))
        + chunk(b"IEND", b"")
    )


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("image_format", FORMATS)
def test_the_size_is_read_in_every_format(image_format: ImageFormat) -> None:
    header = read_header(encoded(format=image_format.value), LIMIT)
    assert (header.format, header.width, header.height) == (image_format, 40, 30)
    assert (header.orientation, header.bit_depth, header.pixels) == (1, 8, 1200)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_modes(mode: str) -> None:
    assert read_header(encoded(mode), LIMIT).mode == mode


def test_sixteen_bits_are_recognised() -> None:
    grey = Image.fromarray(np.zeros((30, 40), np.uint16))
    buffer = io.BytesIO()
    grey.save(buffer, format="PNG")
    assert read_header(buffer.getvalue(), LIMIT).bit_depth == 16


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", FORMATS)
def test_the_size_is_that_after_orientation(image_format: ImageFormat, orientation: int) -> None:
    data = encoded(format=image_format.value, exif=exif_of(orientation))
    header = read_header(data, LIMIT)
    expected = (30, 40) if orientation > 4 else (40, 30)
    assert (header.width, header.height, header.orientation) == (*expected, orientation)


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    data = encoded()
    late = chunk(b"eXIf", exif_of(6).tobytes()[6:])
    header = read_header(data[:-12] + late + data[-12:], LIMIT)
    assert (header.width, header.height, header.orientation) == (30, 40, 6)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_impossible_orientation_is_none(orientation: int) -> None:
    assert read_header(encoded(format="JPEG", exif=exif_of(orientation)), LIMIT).orientation == 1


def test_a_damaged_exif_record_is_no_reason_to_refuse() -> None:
    data = encoded(format="JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_header(data, LIMIT).orientation == 1


def test_a_multi_picture_jpeg_is_its_first_picture() -> None:
    buffer = io.BytesIO()
    first, *rest = frames()
    first.save(buffer, format="MPO", save_all=True, append_images=rest)
    assert read_header(buffer.getvalue(), LIMIT).format is ImageFormat.JPEG


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "GIF"])
def test_animations_are_refused(image_format: str) -> None:
    with pytest.raises(AnimatedImage):
        read_header(animated(image_format), LIMIT)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_an_animated_avif_is_refused() -> None:
    with pytest.raises(AnimatedImage):
        read_header(animated("AVIF"), LIMIT)


@pytest.mark.parametrize("image_format", ["ICO", "PPM", "TGA"])
def test_other_formats_are_refused(image_format: str) -> None:
    with pytest.raises(UnsupportedImage):
        read_header(encoded(format=image_format), LIMIT)


@pytest.mark.parametrize("data", [b"hello", b"\0" * 100, b"<svg/>", b"%PDF-1.7", b"GIF8"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        read_header(data, LIMIT)


def test_an_empty_body_has_an_error_of_its_own() -> None:
    with pytest.raises(EmptyBody):
        read_header(b"", LIMIT)


def test_one_pixel_too_many_is_refused() -> None:
    assert read_header(encoded(), 1200).pixels == 1200
    with pytest.raises(ImageTooLarge) as refusal:
        read_header(encoded(), 1199)
    assert refusal.value.details == {"max_pixels": 1199}


@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_a_claimed_size_is_refused_without_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLarge):
        read_header(claiming(*size), LIMIT)


def test_large_but_allowed_sizes_raise_no_warning() -> None:
    assert read_header(claiming(10_000, 10_000), 10**9).pixels == 10**8


@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("length", [14, 20, 28])
def test_a_cut_header_is_corrupt(image_format: ImageFormat, length: int) -> None:
    with pytest.raises((CorruptImage, UnsupportedImage)):
        read_header(encoded(format=image_format.value)[:length], LIMIT)


@pytest.mark.parametrize(
    "data",
    [
        claiming(8, 8)[:33] + chunk(b"tEXt", b"") * 5000 + claiming(8, 8)[33:],
        encoded(format="JPEG")[:2] + b"\xff\xfe\0\2" * 5000 + encoded(format="JPEG")[2:],
        encoded(format="JPEG")[:2] + b"\xff" * 5000 + encoded(format="JPEG")[2:],
        encoded(format="JPEG")[:20] + b"\0" * 70_000 + encoded(format="JPEG")[20:],
        encoded(format="JPEG")[:4] + b"\0" * 70_000,
    ],
    ids=["chunks", "segments", "padding", "junk", "nothing"],
)
def test_a_header_without_end_is_not_read_to_its_end(data: bytes) -> None:
    with pytest.raises(CorruptImage):
        read_header(data, LIMIT)


def test_some_segments_and_junk_are_no_harm() -> None:
    whole = encoded(format="JPEG")
    data = whole[:2] + b"\xff\xfe\0\4ab\0\0\xff" * 50 + whole[2:]
    assert read_header(data, LIMIT).pixels == 1200


@pytest.mark.parametrize("signature", [PNG_SIGNATURE, b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP"])
@given(rest=st.binary(max_size=200))
def test_rubbish_behind_a_signature_ends_in_an_error_of_ours(signature: bytes, rest: bytes) -> None:
    with pytest.raises((CorruptImage, AnimatedImage, ImageTooLarge)):
        read_header(signature + rest, LIMIT)
