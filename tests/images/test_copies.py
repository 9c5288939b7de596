"""Encoders that read samples where they lie write the files that Pillow writes from its copies."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from images.avif_by_pillow import SPEED, encode_avif
from images.encode import encode
from images.limits import STRIP_PIXELS, STRIP_ROWS
from images.metadata.facts import Metadata
from images.picture import Picture, PictureKind, Raster, strips
from images.webp import METHOD, encode_webp
from jobs.formats import ImageFormat

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = Image.Exif()
EXIF[0x10E] = "a description"


def samples(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 256, (height, width, channels), np.uint8)


def by_pillow(pixels: NDArray[np.uint8], image_format: ImageFormat, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format.label, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("shape", [(33, 40), (1, 7), (7, 1)])
@pytest.mark.parametrize("icc", [None, SRGB, SRGB + b"x"])
@pytest.mark.parametrize("exif", [b"", EXIF.tobytes(), EXIF.tobytes() + b"x"])
def test_the_files_are_those_of_pillow(
    shape: tuple[int, int], channels: int, icc: bytes | None, exif: bytes
) -> None:
    pixels = samples(*shape, channels)
    common = {"quality": 89, "icc_profile": icc, "exif": exif}
    webp = by_pillow(pixels, ImageFormat.WEBP, method=METHOD, **common)
    assert encode_webp(pixels, 89, icc, Metadata(exif)) == webp
    for quality, chroma in ((89, "4:2:0"), (90, "4:4:4")):
        options = common | {"quality": quality, "subsampling": chroma, "speed": SPEED}
        avif = by_pillow(pixels, ImageFormat.AVIF, **options)
        assert encode_avif(pixels, quality, icc, Metadata(exif)) == avif
    assert pixels.flags.writeable


@pytest.mark.parametrize("image_format", [ImageFormat.WEBP, ImageFormat.AVIF])
def test_grey_is_encoded_as_its_rgb(image_format: ImageFormat) -> None:
    """Over several strips, with transparency."""
    grey = samples(3 * STRIP_ROWS + 1, 20, 2)
    colour = np.concatenate((grey[:, :, :1].repeat(3, axis=2), grey[:, :, 1:]), axis=2)
    expected = encode(Picture(Raster(colour)), image_format)
    assert encode(Picture(Raster(grey), PictureKind.GREY), image_format) == expected


@pytest.mark.parametrize(("height", "width"), [(1, 1), (200, 30), (129, 40_000), (5, 3_000_000)])
def test_strips_cover_a_picture_and_are_small(height: int, width: int) -> None:
    found = list(strips(height, width))
    assert [row for part in found for row in range(height)[part]] == list(range(height))
    for part in found:
        rows = part.stop - part.start
        assert rows % 2 == 0
        assert rows <= STRIP_ROWS
        assert rows * width <= max(STRIP_PIXELS, 2 * width)
