"""Frames of animated PNG, WebP, AVIF and JPEG XL; GIF and TIFF have tests of their own."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, features

from images.containers.avif_tracks import SIZE_AT
from images.decode import decode
from images.encode import writable_formats
from images.opening import open_image, read_header
from jobs.errors import AnimatedImage, CorruptImage, ImageTooLarge, InvalidRequest
from jobs.formats import ImageFormat

LIMIT = 1_000_000
COUNT = 3


def drawn(number: int, mode: str = "RGB") -> Image.Image:
    """Return noise of which a corner stays."""
    noise = np.random.default_rng(number).integers(0, 256, (24, 32, len(mode)), np.uint8)
    noise[:8, :8] = 77
    return Image.fromarray(noise)


def animated(image_format: str, mode: str = "RGB", **options: Any) -> bytes:
    frames = [drawn(number, mode) for number in range(COUNT)]
    if image_format == "JXL":
        stacked = np.stack([np.asarray(frame) for frame in frames])
        return bytes(imagecodecs.jpegxl_encode(stacked, lossless=True))
    buffer = io.BytesIO()
    frames[0].save(buffer, image_format, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()


KINDS = [
    pytest.param("PNG", "RGB", {}, id="png"),
    pytest.param("PNG", "RGBA", {"blend": 0}, id="png-rgba"),
    pytest.param("PNG", "RGB", {"default_image": True}, id="png-other-default"),
    pytest.param("WEBP", "RGB", {"lossless": True}, id="webp"),
    pytest.param("JXL", "RGB", {}, id="jxl"),
]


@pytest.mark.parametrize(("image_format", "mode", "options"), KINDS)
def test_each_frame_is_the_one_that_was_drawn(
    image_format: str, mode: str, options: dict[str, Any]
) -> None:
    if image_format == "JXL" and ImageFormat.JXL not in writable_formats():
        pytest.skip("this installation lacks JPEG XL")
    data = animated(image_format, mode, **options)
    hidden = bool(options.get("default_image"))
    for number in range(COUNT - hidden):
        header, picture = read_header(data, LIMIT, number), decode(data, LIMIT, number)
        assert (header.width, header.height, header.frame) == (32, 24, number)
        assert picture.pixels.has_alpha <= header.transparent
        expected = np.asarray(drawn(number + hidden, mode))
        assert (picture.pixels.samples[:, :, : len(mode)] == expected).all()


@pytest.mark.parametrize(("image_format", "mode", "options"), KINDS)
def test_without_a_frame_an_animation_is_refused(
    image_format: str, mode: str, options: dict[str, Any]
) -> None:
    data = animated(image_format, mode, **options)
    for read in (read_header, open_image, decode):
        with pytest.raises(AnimatedImage, match="frame=0"):
            read(data, LIMIT)


@pytest.mark.parametrize(("image_format", "mode", "options"), KINDS)
def test_the_refusal_says_how_many_there_are(
    image_format: str, mode: str, options: dict[str, Any]
) -> None:
    there = COUNT - bool(options.get("default_image"))
    with pytest.raises(InvalidRequest, match=rf"{there} frames; .* to {there - 1}, got 9"):
        decode(animated(image_format, mode, **options), LIMIT, 9)


@pytest.mark.parametrize("image_format", writable_formats())
def test_a_still_picture_has_one_frame(image_format: ImageFormat) -> None:
    buffer = io.BytesIO()
    if image_format is ImageFormat.JXL:
        buffer.write(imagecodecs.jpegxl_encode(np.asarray(drawn(0))))
    else:
        drawn(0).save(buffer, image_format.value)
    data = buffer.getvalue()
    assert decode(data, LIMIT, 0).width == 32
    with pytest.raises(InvalidRequest, match=r"This file has 1 .*must be 0, got 1"):
        read_header(data, LIMIT, 1)


def test_a_png_of_one_frame_is_a_still_picture() -> None:
    buffer = io.BytesIO()
    drawn(0).save(buffer, "PNG", save_all=True)
    assert (decode(buffer.getvalue(), LIMIT).pixels.samples == np.asarray(drawn(0))).all()


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


@needs_avif
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_frames_of_an_avif(mode: str) -> None:
    data = animated("AVIF", mode, quality=95)
    with Image.open(io.BytesIO(data)) as image:
        for number in range(COUNT):
            header, picture = read_header(data, LIMIT, number), decode(data, LIMIT, number)
            assert (header.width, header.height, header.frame) == (32, 24, number)
            assert picture.pixels.has_alpha == header.transparent == (mode == "RGBA")
            image.seek(number)
            assert (picture.pixels.samples == np.asarray(image)).all()
            assert (picture.pixels.samples[:6, :6, :3].astype(int) - 77).std() < 30
    for read in (read_header, open_image, decode):
        with pytest.raises(AnimatedImage):
            read(data, LIMIT)
        with pytest.raises(InvalidRequest, match=r"3 frames; .*got 3"):
            read(data, LIMIT, 3)


@needs_avif
def test_sizes_of_an_animated_avif_are_refused_before_decoding() -> None:
    data = animated("AVIF")
    with pytest.raises(ImageTooLarge):
        read_header(data, 32 * 24 - 1, 0)
    entry = data.index(b"av01", data.index(b"stsd")) + 4 + SIZE_AT
    lying = data[:entry] + struct.pack(">HH", 4, 4) + data[entry + 4 :]
    with pytest.raises(ImageTooLarge):  # by the streams
        read_header(lying, 32 * 24 - 1, 0)
    with pytest.raises(CorruptImage):
        decode(lying, LIMIT, 0)


@needs_avif
def test_damaged_tracks_are_refused() -> None:
    data = animated("AVIF")
    counts = data.index(b"stsz") + 12
    many = data[:counts] + struct.pack(">I", 1 << 31) + data[counts + 4 :]
    places = data.index(b"stco") + 12
    outside = data[:places] + struct.pack(">I", 1 << 30) + data[places + 4 :]
    brand = data[:8] + b"avif" + data[12:]
    for damaged in (many, outside, brand, data[:-50], data.replace(b"stsc", b"free")):
        with pytest.raises(CorruptImage):
            read_header(damaged, LIMIT, 0)
