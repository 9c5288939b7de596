"""What transparency is flattened on for JPEG."""

from __future__ import annotations

import io
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from images.background_colour import WHITE, background_of, colours_grey, levels_of
from images.colour_space import SRGB, Cicp
from images.encode import converts_colours, encode
from images.picture import Picture, PictureKind, Raster
from jobs.formats import ImageFormat

JPEG = ImageFormat.JPEG
ORANGE = (255, 128, 0)


def transparent(channels: int, alpha: float, deep: bool = False, **facts: Any) -> Picture:
    """Return a black picture of this transparency."""
    kind: Any = np.uint16 if deep else np.uint8
    samples = np.zeros((16, 16, channels), kind)
    samples[:, :, -1] = round(alpha * np.iinfo(kind).max)
    layout = PictureKind.GREY if channels == 2 else PictureKind.COLOUR
    return Picture(Raster(samples), layout, **facts)


def flattened(picture: Picture, background: tuple[int, int, int] = WHITE) -> Image.Image:
    data = encode(picture, JPEG, quality=100, background=background)
    return Image.open(io.BytesIO(data))


def test_a_colour_is_read_from_hexadecimal() -> None:
    assert background_of("ff8000") == background_of("FF8000") == ORANGE
    for wrong in ("ff80", "ff80001", "red", "gg0000"):
        with pytest.raises(ValueError, match=r"."):
            background_of(wrong)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("background", [WHITE, ORANGE, (0, 0, 0)])
def test_colours(deep: bool, alpha: float, background: tuple[int, int, int]) -> None:
    image = flattened(transparent(4, alpha, deep), background)
    expected = np.array(background) * (1 - alpha)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image)[8, 8] - expected).max() <= 2


def test_grey_stays_grey_on_grey_and_gets_colours_on_a_colour() -> None:
    image = flattened(transparent(2, 0.0), (90, 90, 90))
    assert image.mode == "L"
    assert abs(int(np.asarray(image)[8, 8]) - 90) <= 1
    image = flattened(transparent(2, 0.5), ORANGE)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image)[8, 8] - np.array([128, 64, 0])).max() <= 2


def test_grey_with_a_profile_is_converted_with_its_colours() -> None:
    icc = bytes(imagecodecs.cms_profile("gray", gamma=1.0))
    picture = transparent(2, 0.5, icc=icc)
    assert colours_grey(picture, ORANGE)
    assert converts_colours(picture, JPEG, ORANGE)
    assert not converts_colours(picture, JPEG, (9, 9, 9))
    assert not converts_colours(picture, ImageFormat.PNG, ORANGE)
    assert flattened(picture, ORANGE).info.get("icc_profile") is None
    assert flattened(picture).info["icc_profile"] == icc


def test_the_colour_is_that_of_sRGB_in_every_profile() -> None:  # noqa: N802
    """In Display P3 the red of sRGB is less than full red."""
    from images.profiles import profile_of

    wide = profile_of(Cicp(12, 13), grey=False)
    assert wide is not None
    picture = transparent(4, 0.0, icc=wide)
    image = flattened(picture, (255, 0, 0))
    assert image.info["icc_profile"] == wide
    profile = ImageCms.ImageCmsProfile(io.BytesIO(wide))
    back = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    assert back is not None
    assert np.abs(np.asarray(back)[8, 8] - np.array([255, 0, 0])).max() <= 3
    red = np.asarray(image)[8, 8]
    assert np.abs(red - np.array([234, 51, 35])).max() <= 3
    named = transparent(4, 0.0, space=Cicp(12, 13))
    assert np.abs(levels_of(named, (255, 0, 0)).ravel() * 255 - red).max() <= 3


def test_a_profile_that_cannot_be_used_leaves_the_colour_as_it_is() -> None:
    picture = transparent(4, 0.0, icc=b"no profile")
    assert np.allclose(levels_of(picture, ORANGE).ravel() * 255, ORANGE)


def test_white_is_diffuse_white_in_hdr() -> None:
    hdr = transparent(4, 0.0, deep=True, space=Cicp(9, 16))
    assert np.allclose(levels_of(hdr, WHITE), 0.5806)
    assert np.allclose(levels_of(hdr, ORANGE).ravel(), 0.5806 * np.array([1, 128 / 255, 0]))
    plain = transparent(4, 0.0, space=SRGB)
    assert np.allclose(levels_of(plain, WHITE), 1)


@pytest.mark.parametrize("image_format", [ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.TIFF])
def test_formats_with_transparency_keep_it(image_format: ImageFormat) -> None:
    data = encode(transparent(4, 0.5), image_format, background=ORANGE)
    assert Image.open(io.BytesIO(data)).mode == "RGBA"
