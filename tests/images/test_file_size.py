"""A file may have the bytes that its pixels can need and room for all else, and no more."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.pictures import draw_jpeg
from benchmarks.specimens import HEIGHT, WIDTH, specimens
from benchmarks.tiff_pictures import Page, short, tiff_file
from images.containers import tiff as tags
from images.encode import encode
from images.file_size import (
    PIXEL_BYTES,
    SPARE_BYTES,
    check_whole_file,
    front_pixels,
    most_file_bytes,
)
from images.opening import read_header
from images.picture import Picture, Raster
from jobs.errors import BodyTooLarge
from jobs.formats import ImageFormat

PAD = b"\x7f"
"""No chunk, box or block begins with such bytes and lies within a file."""
LIMIT = 25_000_000
SPARE_OF_ONE = most_file_bytes(WIDTH * HEIGHT)
ENOUGH = 700
"""Bytes of a drawn picture that tell its size, where a profile or palette does not come before."""
STATE_SIZE_FIRST = ("png RGB", "jpeg RGB", "webp RGB", "webp RGBA", "bmp RGB", "jxl RGB")


def check(data: bytes, frame: int | None = None) -> None:
    check_whole_file(data, read_header(data, LIMIT, frame))


@pytest.mark.parametrize("name", list(specimens()))
def test_a_file_of_any_kind_may_have_spare_bytes_and_no_more(name: str) -> None:
    picture = specimens()[name]
    check(picture.ljust(SPARE_BYTES, PAD))
    if name == "tiff pages":
        return  # of several sizes: see below
    check(picture.ljust(SPARE_OF_ONE, PAD))
    with pytest.raises(BodyTooLarge, match=f"at most {SPARE_OF_ONE} are accepted") as refused:
        check(picture.ljust(SPARE_OF_ONE + 1, PAD))
    assert refused.value.details == {"max_body_bytes": SPARE_OF_ONE}


@pytest.mark.parametrize("name", STATE_SIZE_FIRST)
def test_the_beginning_of_a_file_tells_its_pixels(name: str) -> None:
    picture = specimens().get(name)
    if picture is None:
        pytest.skip("this installation cannot write the format")
    assert front_pixels(picture[:ENOUGH]) == WIDTH * HEIGHT
    assert front_pixels(picture[:5]) is None


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8X"])
def test_what_tells_no_size_is_left_to_the_whole_file(data: bytes) -> None:
    assert front_pixels(data) is None


def moving(image_format: str, frames: int, side: int = 64) -> bytes:
    """Return an animation of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (frames, side, side, 3), np.uint8)
    drawn = [Image.fromarray(one) for one in noise]
    buffer = io.BytesIO()
    lossless = {"lossless": True} if image_format == "WEBP" else {}
    drawn[0].save(buffer, image_format, save_all=True, append_images=drawn[1:], **lossless)
    return buffer.getvalue()


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_the_frames_of_an_animation_count_together(image_format: str) -> None:
    animation = moving(image_format, 3)
    assert front_pixels(animation) is None
    most = most_file_bytes(3 * 64 * 64)
    check(animation.ljust(most, PAD), frame=1)
    with pytest.raises(BodyTooLarge):
        check(animation.ljust(most + 1, PAD), frame=1)


def test_the_pages_of_a_tiff_count_together_and_so_do_small_copies() -> None:
    small, large = np.zeros((10, 20, 3), np.uint8), np.zeros((100, 300, 3), np.uint8)
    copy = Page(small, more={tags.KIND: short(tags.REDUCED)})
    file = tiff_file([Page(small), Page(large), copy])
    most = most_file_bytes(2 * 10 * 20 + 100 * 300)
    check(file.ljust(most, PAD))
    with pytest.raises(BodyTooLarge):
        check(file.ljust(most + 1, PAD))


def test_a_large_profile_before_the_size_has_room() -> None:
    profile = np.random.default_rng(0).bytes(4 << 20)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG", icc_profile=profile)
    assert len(buffer.getvalue()) > 4 << 20
    check(buffer.getvalue())
    assert front_pixels(buffer.getvalue()) == 64 * 64


def test_a_photograph_may_have_a_film_behind_it() -> None:
    photograph = draw_jpeg(4000, 3000)
    check(photograph + bytes((32 << 20) - len(photograph)))


@pytest.mark.parametrize("image_format", [ImageFormat.PNG, ImageFormat.TIFF])
def test_noise_of_16_bits_stays_far_below_the_bound(image_format: ImageFormat) -> None:
    noise = np.random.default_rng(0).integers(0, 1 << 16, (1100, 1100, 4), np.uint16)
    file = encode(Picture(Raster(noise)), image_format)
    assert SPARE_BYTES < len(file) < 0.6 * PIXEL_BYTES * 1100 * 1100
    check(file)
