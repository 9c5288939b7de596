"""Colours at full resolution, and pictures without loss, where a format can."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from images import libwebp, webp
from images.chroma import FEW, MANY, fine_share
from images.decode import decode
from images.encode import encode, writable_formats
from images.jxl_loss import FINE_PART, part_of_distance
from images.opening import read_header
from images.picture import Picture, PictureKind, Raster, Samples
from jobs.formats import ImageFormat

LIMIT = 1_000_000
LOSSY = [f for f in writable_formats() if f.lossy]
EITHER = [f for f in LOSSY if f.can_lossless]


def stripes(period: int = 4, side: int = 60) -> Samples:
    """Red stripes on black, of half a period each."""
    samples = np.zeros((side, side, 3), np.uint8)
    samples[:, np.arange(side) % period < period // 2, 0] = 255
    return samples


def psnr(made: Samples, expected: Samples) -> float:
    error = np.mean((made.astype(float) - expected) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else 99.0


def round_trip(samples: Samples, image_format: ImageFormat, quality: int | None) -> Samples:
    return decode(encode(Picture(Raster(samples)), image_format, quality), LIMIT).pixels.samples


@pytest.mark.parametrize("image_format", LOSSY)
@pytest.mark.parametrize("quality", [None, 90, 95, 100])
@pytest.mark.parametrize("period", [4, 8])
def test_red_stripes_stay_red_at_high_quality(
    image_format: ImageFormat, quality: int | None, period: int
) -> None:
    for shifted in (stripes(period), np.roll(stripes(period), 1, axis=1)):
        assert psnr(round_trip(shifted, image_format, quality), shifted) >= 30


def test_an_avif_keeps_chroma_at_full_resolution_from_90_on() -> None:
    shifted = np.roll(stripes(4), 1, axis=1)  # halved chroma averages red and black
    low, high = (psnr(round_trip(shifted, ImageFormat.AVIF, q), shifted) for q in (89, 90))
    assert high > low + 10


@pytest.mark.parametrize("image_format", EITHER)
@pytest.mark.parametrize("quality", [90, 95])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_stripes_of_a_pixel_are_stored_without_loss(
    image_format: ImageFormat, quality: int, kind: type[np.uint8] | type[np.uint16]
) -> None:
    samples: Any = np.where(stripes(2) > 0, np.iinfo(kind).max, 0).astype(kind)
    samples[:, ::2, 2] = 0
    samples[:, 1::2, 2] = np.iinfo(kind).max
    expected = samples
    if kind is np.uint16 and not image_format.facts.keeps_16_bits:
        expected = (samples >> 8).astype(np.uint8)
    assert (round_trip(samples, image_format, quality) == expected).all()


def test_red_letters_on_a_photograph_lose_less_in_a_jpeg_xl() -> None:
    if ImageFormat.JXL not in LOSSY:
        pytest.skip("this installation lacks JPEG XL")
    samples = with_letters()
    assert part_of_distance(samples, 90) == FINE_PART
    letters = np.s_[300:500, 301:601:21]
    low, high = (
        decode(encode(Picture(Raster(samples)), ImageFormat.JXL, q), 1 << 20).pixels.samples[
            letters
        ]
        for q in (89, 90)
    )
    errors = [np.abs(made.astype(int) - (255, 0, 0)).mean() for made in (low, high)]
    assert errors[1] < 0.8 * errors[0]


def with_letters() -> Samples:
    """A photograph with thin red lines."""
    samples = np.asarray(Image.fromarray(photographs.astronaut()).resize((1024, 1024))).copy()
    samples[300:500, 301:601:21] = (255, 0, 0)
    return samples


def test_the_share_of_fine_colours() -> None:
    photograph = np.asarray(Image.fromarray(photographs.astronaut()).resize((1024, 1024)))
    assert fine_share(photograph) < FEW < fine_share(with_letters()) < MANY
    for period in (2, 4, 8):
        for shift in range(period):
            shifted = np.roll(stripes(period), shift, axis=1)
            assert fine_share(shifted) > MANY
            assert fine_share(shifted.transpose(1, 0, 2)) > MANY


def test_red_letters_on_a_photograph_have_sharp_chroma_in_a_webp() -> None:
    samples = with_letters()
    low, high = (encode(Picture(Raster(samples)), ImageFormat.WEBP, q) for q in (89, 90))
    assert read_header(high, 1 << 20).jpeg_quality is not None
    letters = np.s_[300:500, 301:601:21]
    errors = [
        np.abs(decode(data, 1 << 20).pixels.samples[letters].astype(int) - (255, 0, 0)).mean()
        for data in (low, high)
    ]
    assert errors[1] < errors[0] - 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)])
def test_the_smallest_pictures_have_an_answer(shape: tuple[int, int]) -> None:
    samples = np.full((*shape, 3), 200, np.uint8)
    assert fine_share(samples) == 0
    assert round_trip(samples, ImageFormat.WEBP, 95).shape == (*shape, 3)


def test_a_webp_with_transparency_keeps_its_colours_too() -> None:
    alpha = np.full((60, 60, 1), 255, np.uint8)
    alpha[:9] = 0
    samples = np.dstack([np.roll(stripes(4), 1, axis=1), alpha])
    made = round_trip(samples, ImageFormat.WEBP, 95)
    assert psnr(made[12:, :, :3], samples[12:, :, :3]) >= 30
    assert (made[:, :, 3] == samples[:, :, 3]).all()


def test_a_webp_is_written_without_sharp_chroma_where_libwebp_is_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert libwebp.libwebp() is not None
    picture = Picture(Raster(with_letters()))
    sharp = encode(picture, ImageFormat.WEBP, 95)
    monkeypatch.setattr(webp, "libwebp", lambda: None)
    plain = encode(picture, ImageFormat.WEBP, 95)
    assert plain != sharp
    assert decode(plain, 1 << 20).width == 1024


@pytest.mark.parametrize("image_format", EITHER)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pictures_come_back_exactly_without_loss(
    image_format: ImageFormat, channels: int, kind: type[np.uint8] | type[np.uint16]
) -> None:
    if kind is np.uint16 and not image_format.facts.keeps_16_bits:
        pytest.skip("8 bits alone")
    random = np.random.default_rng(channels)
    samples = random.integers(0, np.iinfo(kind).max, (31, 47, channels), kind, endpoint=True)
    if channels in (2, 4):
        samples[:, :, -1] |= 1  # colours under full transparency are nobody's
    layout = PictureKind.GREY if channels < 3 else PictureKind.COLOUR
    data = encode(Picture(Raster(samples), layout), image_format, lossless=True)
    assert read_header(data, LIMIT).jpeg_quality is None
    back = decode(data, LIMIT).pixels.samples
    if channels < 3 and not image_format.facts.keeps_grey:
        samples = np.dstack([samples[:, :, [0, 0, 0]], samples[:, :, 1:]])
    assert (back == samples).all()


@pytest.mark.parametrize("image_format", [f for f in LOSSY if not f.can_lossless])
def test_no_loss_is_ignored_by_formats_that_cannot(image_format: ImageFormat) -> None:
    picture = Picture(Raster(stripes()))
    assert encode(picture, image_format, lossless=True) == encode(picture, image_format)


def test_a_lossless_webp_is_known_by_its_header() -> None:
    buffer = io.BytesIO()
    Image.fromarray(stripes()).save(buffer, "WEBP", lossless=True)
    assert read_header(buffer.getvalue(), LIMIT).jpeg_quality is None
