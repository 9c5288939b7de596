"""HEIC: its header by our own reader, and what is decoded. The streams hold samples as they are, so
that every pixel is known."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.heic_pictures import (
    ALPHA_OF_HEIC,
    IDENTITY,
    Coded,
    Item,
    box,
    coded,
    full_box,
    grid_item,
    heic,
    nclx,
    picture_item,
)
from images import libheif
from images.colour_space import Cicp
from images.containers.heic import read_heic
from images.decode import decode
from images.heic import reads_heic
from images.opening import read_header
from images.picture import PictureKind
from jobs.errors import (
    MISSING_PIXELS,
    AnimatedImage,
    CorruptImage,
    ImageTooLarge,
    InvalidRequest,
    UnsupportedImage,
)
from jobs.formats import ImageFormat
from tests.support import marked_pictures as marked

LIMIT = 1_000_000
HEIGHT, WIDTH = 28, 40
SRGB = nclx(1, 13, IDENTITY)
needs_heic = pytest.mark.skipif(not reads_heic(), reason="pi-heif is not installed")


def noise(channels: int = 3, bits: int = 8, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Any:
    kind = np.uint16 if bits > 8 else np.uint8
    return np.random.default_rng(0).integers(0, 1 << bits, (*size, channels)).astype(kind)


def coded_rgb(samples: Any, bits: int = 8) -> Coded:
    """Return RGB as planes of green, blue and red, which the matrix IDENTITY means."""
    red, green, blue = np.moveaxis(samples[:, :, :3], 2, 0)
    return coded([green, blue, red], bits)


def samples_of(data: bytes) -> Any:
    """Return the decoded samples, which are as the header states."""
    header, picture = read_header(data, LIMIT), decode(data, LIMIT)
    assert (picture.height, picture.width) == (header.height, header.width)
    assert picture.pixels.bit_depth == header.bit_depth
    assert picture.pixels.has_alpha == header.transparent
    assert picture.pixels.colours == header.colours
    return picture.pixels.samples


@needs_heic
def test_8_bits() -> None:
    assert (samples_of(heic([picture_item(coded_rgb(noise()), SRGB)])) == noise()).all()


@needs_heic
@pytest.mark.parametrize("bits", [10, 12])
def test_more_bits_become_16(bits: int) -> None:
    deep = noise(bits=bits)
    decoded = samples_of(heic([picture_item(coded_rgb(deep, bits), SRGB)]))
    assert decoded.dtype == np.uint16
    assert (decoded == np.rint(deep * (65535 / ((1 << bits) - 1)))).all()


@needs_heic
def test_grey() -> None:
    data = heic([picture_item(coded([noise(1)[:, :, 0]]))])
    assert (samples_of(data) == noise(1)).all()
    assert decode(data, LIMIT).kind is PictureKind.GREY


@needs_heic
def test_halved_colours() -> None:
    """Grey in colour: the chroma is 128 everywhere."""
    luma, chroma = noise(1)[:, :, 0], np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    matrix = nclx(1, 13, 1)
    decoded = samples_of(heic([picture_item(coded([luma, chroma, chroma]), matrix)]))
    assert np.abs(decoded.astype(int) - luma[:, :, None]).max() <= 1


@needs_heic
@pytest.mark.parametrize("bits", [8, 10])
def test_transparency(bits: int) -> None:
    samples = noise(4, bits)
    mask = picture_item(
        coded([samples[:, :, 3]], bits), ALPHA_OF_HEIC, references=((b"auxl", (1,)),)
    )
    decoded = samples_of(heic([picture_item(coded_rgb(samples, bits), SRGB), mask]))
    most = 255 if bits == 8 else 65535
    assert (decoded == np.rint(samples * (most / ((1 << bits) - 1)))).all()


@needs_heic
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_turns_and_mirrors_are_applied_once(turns: int, axis: int | None) -> None:
    """Quarter turns anticlockwise, then a mirror; the EXIF record of the file says something
    else."""
    properties = [SRGB, box(b"irot", bytes((turns,)))]
    expected = np.rot90(noise(), turns)
    if axis is not None:
        properties.append(box(b"imir", bytes((axis,))))
        expected = expected[:, ::-1] if axis else expected[::-1]
    record = bytes(4) + marked.exif(orientation=6).tobytes().removeprefix(b"Exif\0\0")
    exif = Item(b"Exif", record, references=((b"cdsc", (1,)),))
    data = heic([picture_item(coded_rgb(noise()), *properties), exif])
    assert (samples_of(data) == expected).all()
    assert marked.CAMERA.encode() in decode(data, LIMIT).metadata.exif


@needs_heic
def test_a_grid() -> None:
    samples = noise(size=(120, 100))
    whole = np.pad(samples, ((0, 8), (0, 28), (0, 0)))
    tiles = [whole[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64)]
    items = [picture_item(coded_rgb(tile), SRGB) for tile in tiles]
    data = heic([grid_item(2, 2, 100, 120, (2, 3, 4, 5), SRGB), *items])
    assert (samples_of(data) == samples).all()


@needs_heic
def test_a_part_is_cut_out() -> None:
    clean = box(b"clap", struct.pack(">8I", 30, 1, 20, 1, 0, 1, 0, 1))
    data = heic([picture_item(coded_rgb(noise()), SRGB, clean)])
    assert (samples_of(data) == noise()[4:24, 5:35]).all()


@needs_heic
def test_colours_are_those_that_the_file_states() -> None:
    hdr = decode(heic([picture_item(coded_rgb(noise()), nclx(9, 16, IDENTITY))]), LIMIT)
    assert (hdr.icc, hdr.space) == (None, Cicp(9, 16))
    icc = box(b"colr", b"prof" + marked.profile())
    both = decode(heic([picture_item(coded_rgb(noise()), icc, SRGB)]), LIMIT)
    assert (both.icc, both.space) == (marked.profile(), None)


@needs_heic
def test_real_compression_is_taken_for_usual() -> None:
    header = read_header(heic([picture_item(coded_rgb(noise()), SRGB)]), LIMIT)
    assert header.jpeg_quality == 85
    assert header.format.own_output is ImageFormat.JPEG


def test_the_header_needs_no_library() -> None:
    header = read_heic(heic([picture_item(coded_rgb(noise(bits=10), 10), nclx(9, 18))]))
    assert (header.width, header.height, header.bits) == (WIDTH, HEIGHT, 10)
    assert header.code_points == (9, 18)
    assert header.coded == ((64, 32),)  # whole blocks


def test_without_the_library_the_refusal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libheif, "libheif", lambda: None)
    data = heic([picture_item(coded_rgb(noise()), SRGB)])
    assert read_header(data, LIMIT).width == WIDTH
    with pytest.raises(UnsupportedImage, match="cannot read HEIC"):
        decode(data, LIMIT)


def test_sizes_are_refused_before_decoding() -> None:
    data = heic([picture_item(coded_rgb(noise()), SRGB)])
    small, large = (
        full_box(b"ispe", struct.pack(">II", *size)) for size in ((WIDTH, HEIGHT), (60_000, 60_000))
    )
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        read_header(data.replace(small, large), LIMIT)


def test_the_size_in_the_stream_counts_as_well() -> None:
    wide = coded([np.zeros((32, 40_000), np.uint8)])
    size = full_box(b"ispe", struct.pack(">II", 40_000, 32))
    data = heic([picture_item(wide)])
    lying = data.replace(size, full_box(b"ispe", struct.pack(">II", 40, 32)))
    assert lying != data
    with pytest.raises(ImageTooLarge):
        read_header(lying, LIMIT)


def test_previews_count_together() -> None:
    previews = [picture_item(coded([np.zeros((32, 32), np.uint8)]))] * 5
    with pytest.raises(ImageTooLarge, match="5120 pixels; at most 4400"):
        read_header(heic(previews), 1100)


def test_frames_and_films() -> None:
    data = heic([picture_item(coded_rgb(noise()), SRGB)])
    with pytest.raises(InvalidRequest, match="1 frame"):
        read_header(data, LIMIT, 1)
    with pytest.raises(AnimatedImage, match="HEIC"):
        read_header(data + box(b"moov"), LIMIT)


def test_damage_is_found() -> None:
    data = heic([picture_item(coded_rgb(noise()), SRGB)])
    for cut in (data[:-10], data[:200], data[:30]):
        with pytest.raises(CorruptImage):
            read_header(cut, LIMIT)
    odd = box(b"clap", struct.pack(">8I", 31, 2, 20, 1, 0, 1, 0, 1))
    with pytest.raises(CorruptImage):
        read_header(heic([picture_item(coded_rgb(noise()), SRGB, odd)]), LIMIT)


@needs_heic
def test_a_stream_without_a_picture_is_damage() -> None:
    whole = coded_rgb(noise())
    damaged = replace(whole, slice=b"\xff" * 50 + whole.slice[50:])
    with pytest.raises(CorruptImage):
        decode(heic([picture_item(damaged, SRGB)]), LIMIT)


@needs_heic
@pytest.mark.parametrize("part", ["picture", "tile", "transparency"])
def test_pixels_that_a_transfer_left_out_are_missing(part: str) -> None:
    """Zeros in a file of full length, which libheif decodes without a word."""
    whole = coded_rgb(noise(size=(64, 64)))
    mask = coded([noise(1, size=(64, 64))[:, :, 0]])
    shown = [whole, whole, mask]
    items = [
        grid_item(1, 2, 128, 64, (2, 3), SRGB),
        *(picture_item(one, SRGB) for one in shown[:2]),
        picture_item(mask, ALPHA_OF_HEIC, references=((b"auxl", (2,)),)),
    ]
    if part == "picture":
        items = [picture_item(whole, SRGB)]
    data = heic(items)
    decode(data, LIMIT)
    coded_part = mask if part == "transparency" else whole
    at = data.rindex(coded_part.slice[200:300])
    for count in (8, 16, 2000):
        holed = data[:at] + bytes(count) + data[at + count :]
        with pytest.raises(CorruptImage) as refusal:
            decode(holed, LIMIT)
        assert refusal.value.detail == MISSING_PIXELS


@needs_heic
def test_missing_pixels_are_none_of_other_pictures() -> None:
    """HEVC has no end of a picture: one that ends too early in a file of full length looks like any
    other to libheif, which has no warning of it either."""
    whole = coded_rgb(noise(size=(96, 96)))
    cut = heic([picture_item(replace(whole, slice=whole.slice[:1000]), SRGB)])
    made = []
    for seed in range(3):
        other = np.random.default_rng(seed).integers(0, 256, (96, 96, 3)).astype(np.uint8)
        assert (samples_of(heic([picture_item(coded_rgb(other), SRGB)])) == other).all()
        made.append(samples_of(cut))
    assert (made[0] == made[1]).all()
    assert (made[0] == made[2]).all()


def test_a_picture_of_another_program_is_no_heic() -> None:
    with pytest.raises(UnsupportedImage):
        read_header(box(b"ftyp", b"jp2 \0\0\0\0jp2 "), LIMIT)
