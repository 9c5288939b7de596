"""A file may have the bytes that its pixels can need and room for all else, and no more."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from benchmarks.pictures import draw_jpeg
from benchmarks.specimens import HEIGHT, WIDTH, specimens
from benchmarks.tiff_pictures import Page, short, tiff_file
from images.containers import tiff as tags
from images.encode import encode
from images.file_size import (
    SPARE_BYTES,
    check_whole_file,
    front_pixels,
    most_file_bytes,
)
from images.frame_bytes import PIXEL_BYTES, frame_bytes
from images.opening import read_header
from images.picture import Picture, Raster
from images.signature import format_of
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
    most = SPARE_OF_ONE
    if name.startswith("gif"):  # of one frame, which counts by its bytes
        most = SPARE_BYTES + (frame_bytes(picture, ImageFormat.GIF) or 0)
        assert SPARE_BYTES < most < SPARE_OF_ONE
    check(picture.ljust(most, PAD))
    with pytest.raises(BodyTooLarge, match=f"at most {most} are accepted") as refused:
        check(picture.ljust(most + 1, PAD))
    assert refused.value.details == {"max_body_bytes": most}


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


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_the_frames_of_an_animation_count_by_their_bytes(image_format: str) -> None:
    animation = moving(image_format, 3)
    in_frames = frame_bytes(animation, format_of(animation))
    assert in_frames is not None
    assert 0.5 * len(animation) < in_frames < len(animation)
    most = SPARE_BYTES + in_frames
    if image_format != "AVIF":  # bytes behind its boxes are a box that is cut
        assert front_pixels(animation) is None
    check(animation.ljust(most, PAD), frame=1)
    with pytest.raises(BodyTooLarge, match=f"frames of {in_frames} bytes; at most {most}") as error:
        check(animation.ljust(most + 1, PAD), frame=1)
    assert error.value.details == {"max_body_bytes": most}


def png_of_empty_frames(frames: int, side: int) -> bytes:
    """Return an animated PNG whose frames, but the first, state a size and have no data."""
    whole = moving("PNG", 2, side)
    first, behind = whole.index(b"acTL") + 8 + 4, whole.index(b"fcTL", whole.index(b"IDAT")) - 4
    stated = struct.pack(">IIIIIHHBB", 1, side, side, 0, 0, 1, 10, 0, 0)
    empty = struct.pack(">I", len(stated)) + b"fcTL" + stated
    empty += struct.pack(">I", zlib.crc32(b"fcTL" + stated))
    head = whole[: first - 8] + struct.pack(">II", frames, 0)
    head += struct.pack(">I", zlib.crc32(head[-12:]))
    return head + whole[first + 4 : behind] + (frames - 1) * empty + whole[-12:]


def gif_of_empty_frames(frames: int, side: int) -> bytes:
    """Return a GIF whose frames state a size and have no data."""
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\0"
    return screen + frames * frame + b";"


@pytest.mark.parametrize("make", [png_of_empty_frames, gif_of_empty_frames])
def test_frames_without_data_make_no_room(make: Callable[[int, int], bytes]) -> None:
    animation = make(4000, 2000)
    header = read_header(animation, LIMIT, 2)
    assert (header.pixels, header.frame) == (4_000_000, 2)
    check(animation, frame=2)
    large = 2 * SPARE_BYTES + len(moving("PNG", 2, 2000))
    with pytest.raises(BodyTooLarge):
        check(animation.ljust(large, PAD), frame=2)


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
