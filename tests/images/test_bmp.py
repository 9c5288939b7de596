"""BMP: every depth, direction and compression that is read, and what is refused with the reason."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.bmp_pictures import HEIGHT, WIDTH, bmp_file
from images.decode import decode
from images.opening import read_header
from images.picture import PictureKind
from jobs.errors import CorruptImage, ImageTooLarge, InvalidRequest, UnsupportedImage
from jobs.formats import ImageFormat

LIMIT = 1_000_000
GREYS = struct.pack("<256I", *(0x010101 * level for level in range(256)))
COLOURS = struct.pack("<256I", *(level << 16 | 255 - level for level in range(256)))
"""Red that grows and blue that falls."""


def rows(bits: int) -> Any:
    """Return the bytes of the rows of `bmp_file`, from the top."""
    length = (WIDTH * bits + 31) // 32 * 4
    stored = np.arange(length * HEIGHT, dtype=np.uint32) % 251
    return stored.astype(np.uint8).reshape(HEIGHT, length)[::-1]


def by_pillow(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()


def samples_of(data: bytes) -> Any:
    header, picture = read_header(data, LIMIT), decode(data, LIMIT)
    assert (picture.height, picture.width) == (header.height, header.width)
    assert picture.pixels.has_alpha == header.transparent
    return picture.pixels.samples


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_what_pillow_writes(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (29, 23, 3), np.uint8)
    image = (
        Image.fromarray(noise).quantize(99) if mode == "P" else Image.fromarray(noise).convert(mode)
    )
    picture = decode(by_pillow(image), LIMIT)
    plain = image.convert("L" if mode in ("1", "L") else "RGB")
    assert (picture.pixels.samples.squeeze() == np.asarray(plain)).all()
    assert (picture.kind is PictureKind.PALETTE) == (mode == "P")


def test_8_bits_with_a_palette() -> None:
    level = rows(8)[:, :WIDTH]
    expected = np.dstack([level, np.zeros_like(level), 255 - level])
    assert (samples_of(bmp_file(8, COLOURS)) == expected).all()
    assert (samples_of(bmp_file(8, GREYS))[:, :, 0] == level).all()


def test_4_bits() -> None:
    stored = rows(4)
    index = np.dstack([stored >> 4, stored & 15]).reshape(HEIGHT, -1)[:, :WIDTH]
    palette = struct.pack("<16I", *(index << 20 for index in range(16)))
    assert (samples_of(bmp_file(4, palette))[:, :, 0] == index * 16).all()


@pytest.mark.parametrize("masks", [(), (0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)])
def test_16_bits(masks: tuple[int, ...]) -> None:
    value = np.ascontiguousarray(rows(16)).view("<u2")[:, :WIDTH].astype(int)
    bits = (5, 6, 5) if masks[:1] == (0xF800,) else (5, 5, 5)
    shifts = bits[1] + bits[2], bits[2], 0
    levels = [
        (value >> s & (1 << b) - 1) / ((1 << b) - 1) * 255
        for s, b in zip(shifts, bits, strict=True)
    ]
    assert np.abs(samples_of(bmp_file(16, masks=masks)) - np.dstack(levels)).max() < 1.01


def test_24_and_32_bits_in_either_direction() -> None:
    blue_first = rows(24).reshape(HEIGHT, WIDTH, 3)
    assert (samples_of(bmp_file(24)) == blue_first[:, :, ::-1]).all()
    assert (samples_of(bmp_file(24, top_down=True)) == blue_first[::-1, :, ::-1]).all()
    fourth = rows(32).reshape(HEIGHT, WIDTH, 4)
    assert (samples_of(bmp_file(32)) == fourth[:, :, 2::-1]).all()  # the fourth byte means nothing


def test_a_mask_of_transparency() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    fourth = rows(32).reshape(HEIGHT, WIDTH, 4)
    assert (samples_of(bmp_file(32, masks=masks)) == fourth[:, :, [2, 1, 0, 3]]).all()


def test_runs() -> None:
    lines = b"".join(bytes((WIDTH - 3, row, 0, 3, 7, 8, 9, 0)) + b"\0\0" for row in range(HEIGHT))
    decoded = samples_of(bmp_file(8, COLOURS, lines + b"\0\1"))[:, :, 0]
    assert (decoded[:, : WIDTH - 3] == np.arange(HEIGHT)[::-1, None]).all()
    assert (decoded[:, WIDTH - 3 :] == (7, 8, 9)).all()
    half = b"".join(bytes((WIDTH, 0x10 * (row % 16) + 5)) + b"\0\0" for row in range(HEIGHT))
    palette = struct.pack("<16I", *(index << 20 for index in range(16)))
    decoded = samples_of(bmp_file(4, palette, half + b"\0\1"))[:, :, 0]
    assert (decoded[:, ::2] == 16 * (np.arange(HEIGHT)[::-1, None] % 16)).all()
    assert (decoded[:, 1::2] == 5 * 16).all()


def test_runs_may_leave_pixels_out() -> None:
    """A picture of 6 x 4 pixels whose runs skip two pixels and a row, and end in the third row;
    what they leave out has the first colour. A run beyond the end of its row is cut."""
    runs = b"\6\5\0\0" + b"\0\3\1\2\3\0" + b"\0\2\1\1" + b"\x09\7" + b"\0\1"
    decoded = samples_of(bmp_file(8, COLOURS, runs, size=(6, 4)))[:, :, 0]
    assert decoded.tolist() == [[0] * 6, [0, 0, 0, 0, 7, 7], [1, 2, 3, 0, 0, 0], [5] * 6]
    palette = struct.pack("<16I", *(index << 16 for index in range(16)))
    half = b"\5\x12\0\0" + b"\0\5\x34\x56\x78\0" + b"\0\1"
    decoded = samples_of(bmp_file(4, palette, half, size=(5, 3)))[:, :, 0]
    assert decoded.tolist() == [[0] * 5, [3, 4, 5, 6, 7], [1, 2, 1, 2, 1]]


@pytest.mark.parametrize("cut", [b"\6\5", b"\6\5\0\0\0\4\1", b"\6\5\0\2\1"])
def test_runs_without_an_end_lack_pixels(cut: bytes) -> None:
    with pytest.raises(CorruptImage):
        decode(bmp_file(8, COLOURS, cut, size=(6, 4)), LIMIT)
    whole = b"\6\5\0\0" * 3 + b"\6\5"  # only the end mark is missing
    assert (samples_of(bmp_file(8, COLOURS, whole, size=(6, 4)))[:, :, 0] == 5).all()


def test_transparency_that_would_hide_all_means_nothing() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    data = bytearray(bmp_file(32, masks=masks))
    data[-4 * WIDTH * HEIGHT + 3 :: 4] = bytes(WIDTH * HEIGHT)
    fourth = rows(32).reshape(HEIGHT, WIDTH, 4)
    decoded = samples_of(bytes(data))
    assert (decoded[:, :, :3] == fourth[:, :, 2::-1]).all()
    assert (decoded[:, :, 3] == 255).all()


def test_the_oldest_header() -> None:
    head = struct.pack("<IHHHH", 12, 2, 1, 1, 24)
    data = struct.pack("<2sIHHI", b"BM", 34, 0, 0, 26) + head + bytes((1, 2, 3, 4, 5, 6, 0, 0))
    assert samples_of(data).tolist() == [[[3, 2, 1], [6, 5, 4]]]


def test_the_resolution_and_the_format_of_a_result() -> None:
    density = decode(bmp_file(24), LIMIT).metadata.density
    assert density is not None
    assert (density.x, density.y) == (11811, 11811)
    assert read_header(bmp_file(24), LIMIT).format.own_output is ImageFormat.PNG


def test_what_is_not_read_is_refused_with_the_reason() -> None:
    png_inside = bytearray(bmp_file(24))
    struct.pack_into("<I", png_inside, 30, 5)
    with pytest.raises(UnsupportedImage, match="method 5"):
        read_header(bytes(png_inside), LIMIT)
    with pytest.raises(UnsupportedImage, match="64 bits"):
        read_header(bmp_file(64), LIMIT)
    with pytest.raises(UnsupportedImage, match="order of its bits"):
        read_header(bmp_file(32, masks=(0xF, 0xF0, 0xF00, 0xF000)), LIMIT)


def test_sizes_frames_and_damage() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        read_header(
            bmp_file(24, runs=None, size=(60, 60)).replace(
                struct.pack("<ii", 60, 60), struct.pack("<ii", 60_000, 60_000)
            ),
            LIMIT,
        )
    with pytest.raises(InvalidRequest, match="1 frame"):
        read_header(bmp_file(24), LIMIT, 1)
    for cut in (b"BM", bmp_file(24)[:30]):
        with pytest.raises(CorruptImage):
            read_header(cut, LIMIT)
    for damaged in (bmp_file(24)[:-400], bmp_file(8, COLOURS, b"\5\1")):
        with pytest.raises(CorruptImage):
            decode(damaged, LIMIT)
