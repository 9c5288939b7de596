"""A colour that counts as transparent (tRNS), at every depth that a PNG has."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from images.decode import decode
from images.encode import encode
from images.opening import read_header
from images.picture import PictureKind
from jobs.formats import ImageFormat
from tests.support.png import PALETTE, png

LIMIT = 10_000


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("key", [0, 1, -1])
def test_a_grey_level_is_transparent_and_no_other(depth: int, key: int) -> None:
    largest = (1 << depth) - 1
    level = key % (largest + 1)
    levels = np.linspace(0, largest, 64).astype(np.uint16).reshape(8, 8, 1)
    levels[0, 0], levels[7, 7] = level, largest - level
    picture = decode(png(levels, depth, [(b"tRNS", struct.pack(">H", level))]), LIMIT)
    scale = (65535 if depth == 16 else 255) // largest
    made = picture.pixels.samples
    assert picture.kind is PictureKind.GREY
    assert (made[:, :, 0] == levels[:, :, 0] * scale).all()
    assert (made[:, :, 1] == np.where(levels[:, :, 0] == level, 0, largest * scale)).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_is_transparent_and_no_other(depth: int) -> None:
    random = np.random.default_rng(depth)
    colours = random.integers(0, 1 << depth, (6, 9, 3)).astype(np.uint16)
    near = colours[2, 3] ^ np.array((0, 0, 1), np.uint16)  # as in the upper 8 of 16 bits
    colours[0, 0], colours[5, 8] = near, colours[2, 3]
    data = png(colours, depth, [(b"tRNS", struct.pack(">3H", *colours[2, 3]))])
    made = decode(data, LIMIT).pixels.samples
    clear = (colours == colours[2, 3]).all(axis=2)
    assert clear[2, 3]
    assert not clear[0, 0]
    assert (made[:, :, :3] == colours).all()
    assert ((made[:, :, 3] == 0) == clear).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_colours_of_a_palette_are_transparent_by_their_place(depth: int) -> None:
    number = 1 << depth
    table = np.random.default_rng(depth).integers(0, 256, (number, 3), np.uint8)
    alpha = np.linspace(0, 255, number).astype(np.uint8)[: number - 1]  # the last one is opaque
    places = np.arange(64).reshape(8, 8, 1) % number
    stated = [(b"PLTE", table.tobytes()), (b"tRNS", alpha.tobytes())]
    picture = decode(png(places, depth, stated, PALETTE), LIMIT)
    made = picture.pixels.samples
    assert picture.kind is PictureKind.PALETTE
    assert (made[:, :, :3] == table[places[:, :, 0]]).all()
    assert (made[:, :, 3] == np.append(alpha, 255)[places[:, :, 0]]).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_header_counts_the_channel_that_decoding_makes(depth: int) -> None:
    """Memory is reserved by the header."""
    data = png(np.zeros((4, 5, 1), int), depth, [(b"tRNS", b"\0\1")])
    picture = decode(data, LIMIT)
    assert read_header(data, LIMIT).sample_bytes * 20 == picture.pixels.samples.nbytes


def test_a_key_flattened_to_jpeg_is_white() -> None:
    levels = np.repeat(np.arange(4), 16).reshape(1, 64, 1).repeat(16, axis=0)
    picture = decode(png(levels, 2, [(b"tRNS", b"\0\1")]), LIMIT)
    back = decode(encode(picture, ImageFormat.JPEG, 100), LIMIT).pixels.samples[8, 8::16, 0]
    assert np.abs(back.astype(int) - (0, 255, 170, 255)).max() <= 2
