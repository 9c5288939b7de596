"""Quantisation read from the headers of real files, and from any bytes in bounded time."""

from __future__ import annotations

import functools
import io
import struct
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from images.compression import UNREAD_QUALITY, av1, avif, jpeg, jpeg_quality, webp
from images.containers import common
from jobs.formats import ImageFormat
from tests.support.watched import Watched

needs_webp = pytest.mark.skipif(not features.check("webp"), reason="Pillow without WebP")
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
EXIF = Image.Exif()
EXIF[0x010E] = "a picture"


@functools.cache
def picture(mode: str = "RGB", size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A smooth picture with noise and an edge, so that encoders have something to do."""
    width, height = size
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    ramp = np.linspace(20, 220, width)[None, :, None] + np.zeros((height, width, 3))
    ramp[height // 2 :] = 255 - ramp[height // 2 :]
    pixels = np.clip(ramp + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(size))
    return image


def encoded(
    image_format: str, mode: str = "RGB", size: tuple[int, int] = (96, 64), **options: Any
) -> bytes:
    buffer = io.BytesIO()
    picture(mode, size).save(buffer, format=image_format, **options)
    return buffer.getvalue()


def quality_of(
    image_format: str, mode: str = "RGB", size: tuple[int, int] = (96, 64), **options: Any
) -> float | None:
    data = encoded(image_format, mode, size, **options)
    return jpeg_quality(data, ImageFormat(image_format.lower()))


def rises_with_the_encoder(
    image_format: str, mode: str = "RGB", size: tuple[int, int] = (96, 64), **options: Any
) -> None:
    """Assert that the quality read rises with the encoder's over a wide range."""
    read = [quality_of(image_format, mode, size, quality=q, **options) for q in range(20, 96, 15)]
    found = [quality for quality in read if quality is not None]
    assert len(found) == len(read)
    assert all(first < second for first, second in pairwise(found)), found
    assert found[0] < 40
    assert found[-1] > 90
    assert UNREAD_QUALITY not in found


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_quality_of_a_jpeg_is_what_it_was_encoded_with(mode, progressive):
    for quality in range(10, 101):
        read = quality_of("JPEG", mode, quality=quality, progressive=progressive)
        assert read == pytest.approx(quality, abs=0.5)


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"keep_rgb": True}, {"optimize": True}])
def test_the_quality_of_a_jpeg_does_not_depend_on_how_its_colours_are_stored(options):
    for quality in (30, 75, 100):
        read = quality_of("JPEG", quality=quality, exif=EXIF, icc_profile=b"p" * 99_999, **options)
        assert read == pytest.approx(quality, abs=0.5)


def test_a_jpeg_with_tables_of_its_own_is_placed_by_their_sum():
    fine, coarse, flat = [1] * 64, [255] * 64, [16] * 64
    assert quality_of("JPEG", qtables=[fine, coarse]) == 100
    assert quality_of("JPEG", qtables=[coarse, fine]) == 1
    # the standard tables of qualities 86 and 87 have sums of 1031 and 961
    assert quality_of("JPEG", qtables=[flat, coarse]) == pytest.approx(86 + 7 / 70)


def test_the_steps_of_a_jpeg_may_have_16_bits():
    steps = b"".join(struct.pack(">H", 2 * step) for step in jpeg._LUMA_STEPS)
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    data = b"\xff\xd8" + segment(0xDB, b"\x13" + steps) + frame(luma_table=3) + scan
    assert jpeg_quality(data, ImageFormat.JPEG) == pytest.approx(25, abs=0.5)


def test_a_jpeg_is_placed_by_the_table_of_its_first_component():
    tables = b"".join(bytes([place]) + bytes([step]) * 64 for place, step in enumerate((99, 1)))
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    data = b"\xff\xd8\xff\xff" + frame(luma_table=1) + segment(0xDB, tables) + b"junk" + scan
    assert jpeg_quality(data, ImageFormat.JPEG) == 100


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", b"\xff\xd8" * 99])
def test_a_jpeg_without_tables_is_unread(content):
    assert jpeg_quality(content, ImageFormat.JPEG) == UNREAD_QUALITY


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def frame(luma_table: int) -> bytes:
    return segment(0xC0, struct.pack(">BHHBBBB", 8, 8, 8, 1, 7, 0x11, luma_table))


@needs_webp
@pytest.mark.parametrize(
    ("mode", "size", "options"),
    [
        ("RGB", (96, 64), {}),
        ("RGBA", (96, 64), {}),
        ("RGB", (96, 64), {"exif": EXIF, "icc_profile": b"profile"}),
        ("RGB", (16, 16), {}),
        ("RGB", (33, 77), {"method": 6}),
        ("RGB", (301, 203), {"method": 0}),
    ],
)
def test_the_quality_of_a_webp_grows_with_its_encoders(mode, size, options):
    rises_with_the_encoder("WEBP", mode, size, **options)


@needs_webp
@pytest.mark.parametrize("options", [{}, {"exif": EXIF}, {"icc_profile": b"profile"}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_lossless_webp_has_no_quality(mode, options):
    assert quality_of("WEBP", mode, lossless=True, **options) is None


@needs_webp
def test_the_index_of_a_webp_is_its_encoders():
    """libwebp maps quality 100 to the finest index and 0 to the coarsest. Between them the index is
    about 127 * (1 - cbrt(q')), where q' is 2/3 of a quality below 75 %, then steeper."""
    for quality in range(5, 101, 5):
        part = quality / 100
        linear = part * 2 / 3 if part < 0.75 else 2 * part - 1
        data = encoded("WEBP", size=(301, 203), quality=quality)
        index = webp._vp8_index(data[data.index(b"VP8 ") + 8 :])
        assert index == pytest.approx(127 * (1 - linear ** (1 / 3)), abs=6)


def test_webp_segments_count_by_their_part_of_the_picture():
    whole = vp8(base=10, indices=(40, 80, 0, 0), absolute=True, tree=(255, 255, 255))
    halves = vp8(base=10, indices=(40, 80, 0, 0), absolute=True, tree=(255, 128, 255))
    added = vp8(base=10, indices=(40, -8, 0, 0), absolute=False, tree=(255, 128, 255))
    last = vp8(base=10, indices=(40, 40, 40, 120), absolute=False, tree=(0, 0, 0))
    assert webp._vp8_index(whole) == 40
    assert webp._vp8_index(halves) == pytest.approx(60, abs=0.2)
    assert webp._vp8_index(added) == pytest.approx(26, abs=0.2)
    assert webp._vp8_index(last) == 127


def vp8(base: int, indices: tuple[int, ...], absolute: bool, tree: tuple[int, ...]) -> bytes:
    """A VP8 key frame up to its index, with deltas of the loop filter too (RFC 6386, 19.2)."""
    bits = [0, 0, 1, 1, 1, int(absolute)]
    for index in indices:
        bits += [1, *binary(abs(index), 7), int(index < 0)]
    bits += [1, *binary(5, 6), 1] * 4
    for probability in tree:
        bits += [1, *binary(probability, 8)]
    bits += [0, *binary(33, 6), *binary(5, 3), 1, 1]
    bits += [1, *binary(9, 6), 0] * 7 + [0]
    bits += [0, 1, *binary(base, 7), 1, 1, 0, 1]
    return b"\x10\0\0\x9d\x01\x2a\x10\0\x10\0" + boolean_encoded(bits)


def binary(number: int, bits: int) -> list[int]:
    return [number >> place & 1 for place in reversed(range(bits))]


def boolean_encoded(bits: list[int]) -> bytes:
    """The arithmetic code of bits that are as often 0 as 1 (RFC 6386, 7.3), by exact fractions of
    the unit interval instead of a carry."""
    low, span, shift = 0, 255, 0
    for bit in bits:
        split = 1 + ((span - 1) * 128 >> 8)
        low, span = (low + split, span - split) if bit else (low, split)
        while span < 128:
            low, span, shift = 2 * low, 2 * span, shift + 1
    padding = -(shift + 8) % 8
    return (low << padding).to_bytes((shift + 8 + padding) // 8) + bytes(2)


@needs_avif
@pytest.mark.parametrize(
    ("mode", "size", "options"),
    [
        ("RGB", (96, 64), {}),
        ("RGBA", (96, 64), {}),
        ("LA", (96, 64), {}),
        ("RGB", (96, 64), {"exif": EXIF, "icc_profile": b"profile"}),
        ("RGB", (96, 64), {"subsampling": "4:4:4", "speed": 9}),
        ("RGB", (96, 64), {"subsampling": "4:0:0", "range": "limited"}),
        ("RGB", (96, 64), {"advanced": {"tune": "ssim"}}),
        ("RGB", (16, 16), {}),
        ("RGB", (33, 77), {"speed": 4}),
        ("RGB", (530, 523), {"tile_rows": 2, "tile_cols": 1, "speed": 10}),
        ("RGB", (523, 530), {"autotiling": True, "speed": 10}),
    ],
)
def test_the_quality_of_an_avif_grows_with_its_encoders(mode, size, options):
    rises_with_the_encoder("AVIF", mode, size, **options)


@needs_avif
def test_the_index_of_an_avif_is_its_encoders():
    """libavif asks for an index of 0 to 63 that falls with the quality on a line, and libaom, not
    tuned for pictures, makes it four times that."""
    for quality in range(25, 101, 5):
        data = encoded("AVIF", size=(40, 30), quality=quality, advanced={"tune": "ssim"})
        start, end = avif.first_coded(data)
        index = av1.quantizer_index(data[start:end])
        assert index == 4 * (((100 - quality) * 63 + 50) // 100)


@needs_avif
def test_tiles_do_not_change_the_quality_of_an_avif():
    size = (4200, 140)  # wider than a tile may be
    for rows, columns in ((0, 0), (1, 0), (0, 2), (1, 3)):
        tiled = encoded(
            "AVIF", "RGB", size, quality=60, speed=10, tile_rows=rows, tile_cols=columns
        )
        assert jpeg_quality(tiled, ImageFormat.AVIF) == quality_of("AVIF", quality=60, speed=10)


@needs_avif
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_avif_without_loss_in_luma_has_no_quality(mode):
    assert quality_of("AVIF", mode, quality=100) is None


@needs_avif
def test_the_quality_of_an_avif_with_the_header_of_a_film_is_read_too():
    film = encoded("AVIF", save_all=True, append_images=[picture().rotate(180)], quality=60)
    start, end = avif.first_coded(film)
    assert not av1._sequence(av1._Bits(film[start + 4 : end])).reduced
    assert jpeg_quality(film, ImageFormat.AVIF) == pytest.approx(79, abs=10)


@needs_avif
def test_the_alpha_plane_of_an_avif_does_not_count():
    """It is an item of its own, and the primary one is the colour."""
    for quality in (30, 60, 90):
        assert quality_of("AVIF", "RGBA", quality=quality) == quality_of("AVIF", quality=quality)


def test_the_parts_of_a_grid_stand_for_an_avif():
    tile = av1_stream(index=88)
    data = avif_file(items={1: b"no stream", 2: tile, 3: tile}, primary=1, parts=(2, 3))
    assert jpeg_quality(data, ImageFormat.AVIF) == 88
    assert jpeg_quality(avif_file({7: tile}, primary=7), ImageFormat.AVIF) == 88


@pytest.mark.parametrize(
    ("items", "primary"), [({1: b""}, 1), ({1: b"\x0a\x01"}, 1), ({1: b"\x12\0"}, 1), ({1: b""}, 2)]
)
def test_an_avif_without_a_stream_is_unread(items, primary):
    assert jpeg_quality(avif_file(items, primary), ImageFormat.AVIF) == UNREAD_QUALITY


@settings(deadline=None)
@given(
    index=st.integers(1, 255),
    timing=st.booleans(),
    delayed=st.booleans(),
    numbered=st.booleans(),
    resized=st.booleans(),
    screen=st.booleans(),
    superres=st.booleans(),
    even_tiles=st.booleans(),
)
def test_the_long_header_of_av1_is_read_in_every_form(index, **forms):
    assert av1.quantizer_index(av1_stream(index, **forms)) == index


def av1_stream(
    index: int,
    timing: bool = False,
    delayed: bool = False,
    numbered: bool = False,
    resized: bool = False,
    screen: bool = False,
    superres: bool = False,
    even_tiles: bool = True,
) -> bytes:
    """An AV1 stream of one key frame of 300 x 200 pixels up to its index (AV1, 5.5 and 5.9), with
    the header that a film has."""
    bits = [0, 0, 0, 0, 0, int(timing)]
    if timing:  # ticks, frames evenly spaced by 5 of them (4.10.3), no decoder model
        bits += binary(1, 32) + binary(25, 32) + [1, 0, 0, 1, 0, 1] + [0]
    bits += [int(delayed), *binary(1, 5)]
    bits += [*binary(0x101, 12), *binary(9, 5), 1] + ([1, *binary(3, 4)] if delayed else [])
    bits += [*binary(0x001, 12), *binary(4, 5)] + ([0] if delayed else [])
    bits += binary(11, 4) + binary(9, 4) + binary(299, 12) + binary(199, 10)
    bits += [1, *binary(5, 4), *binary(2, 3)] if numbered else [0]
    bits += [0, 1, 1, 1, 0, 1, 0, 1, 1, 1]  # 64-pixel superblocks, tools, order hints
    bits += [0, int(screen)] + ([1] if screen else [])
    bits += [*binary(6, 3), int(superres), 1, 1]
    header = [0, 0, 0, 1, 0, *([1] if screen else [])]
    header += binary(77, 10) if numbered else []
    header += [int(resized), *binary(99, 7)]
    width, height = (160, 130) if resized else (300, 200)
    header += binary(width - 1, 12) + binary(height - 1, 10) if resized else []
    header += [1, *binary(3, 3)] if superres else []
    width = (width * 8 + 6) // 12 if superres else width
    header += [1, *binary(640, 16), *binary(480, 16)]
    header += [0] if screen and not superres else []
    header += [1, *tiles(-(-width // 64), -(-height // 64), even_tiles), *binary(index, 8), 0, 0]
    return b"\x12\0" + unit(1, bits) + unit(6, header + [1] * 64)


def tiles(columns: int, rows: int, even: bool) -> list[int]:
    """Two tiles side by side, the first of one superblock; as evenly as can be if asked."""
    if even:
        most = (columns - 1).bit_length()
        return [1, 1, *([0] if most > 1 else []), 0, *binary(0, 1), *binary(3, 2)]
    bits = [0] + [0] * (columns.bit_length() - 1)
    bits += below(columns - 2, columns - 1)
    bits += below(rows - 1, rows)
    return bits + binary(0, 1) + binary(3, 2)


def below(number: int, bound: int) -> list[int]:
    """A number that is less than a bound, as AV1 codes it (4.10.7)."""
    size = bound.bit_length()
    short = (1 << size) - bound
    if number < short:
        return binary(number, size - 1)
    return binary(number + short, size)


def unit(kind: int, bits: list[int]) -> bytes:
    content = bytes(
        int("".join(map(str, bits[at : at + 8])).ljust(8, "0"), 2) for at in range(0, len(bits), 8)
    )
    return bytes([kind << 3 | 2, len(content) | 128, 0]) + content


def avif_file(items: dict[int, bytes], primary: int, parts: tuple[int, ...] = ()) -> bytes:
    """An AVIF whose items lie in its header (ISO/IEC 14496-12, 8.11)."""
    held = b"".join(items.values())
    offsets = np.cumsum([0, *map(len, items.values())])
    places = b"".join(
        struct.pack(">HHHHII", item, 1, 0, 1, offset, len(content))
        for (item, content), offset in zip(items.items(), offsets, strict=False)
    )
    iloc = struct.pack(">IHH", 1 << 24, 0x4400, len(items)) + places
    derived = struct.pack(f">HH{len(parts)}H", primary, len(parts), *parts)
    boxes = box(b"pitm", struct.pack(">IH", 0, primary)) + box(b"iloc", iloc)
    boxes += box(b"iref", bytes(4) + box(b"dimg", derived)) if parts else b""
    return box(b"ftyp", b"avif") + box(b"meta", bytes(4) + boxes + box(b"idat", held))


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


@pytest.mark.parametrize("data", [b"", b"anything", encoded("PNG")])
def test_a_png_has_no_quality(data):
    assert jpeg_quality(data, ImageFormat.PNG) is None


@functools.cache
def samples() -> list[bytes]:
    """Return real files of every format that is read, and drawn ones of rare kinds."""
    files = [encoded("JPEG", quality=50), encoded("JPEG", "CMYK", progressive=True)]
    if features.check("webp"):
        files += [encoded("WEBP", "RGBA", exif=EXIF), encoded("WEBP", lossless=True)]
    if features.check("avif"):
        files += [encoded("AVIF", "RGBA", exif=EXIF), encoded("AVIF", quality=60)]
        files.append(encoded("AVIF", save_all=True, append_images=[picture().rotate(180)]))
    files.append(avif_file({1: b"", 2: av1_stream(9, even_tiles=False)}, primary=1, parts=(2,)))
    return files


def is_sound(quality: float | None) -> bool:
    return quality is None or 1 <= quality <= 100


@settings(deadline=None)
@given(st.binary(max_size=2000), st.sampled_from(ImageFormat))
def test_any_bytes_have_a_sound_quality(data, image_format):
    assert is_sound(jpeg_quality(data, image_format))


@settings(deadline=None)
@given(
    st.integers(0, 7),
    st.sampled_from(ImageFormat),
    st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), max_size=6),
    st.integers(0, 3000),
)
def test_damaged_files_have_a_sound_quality(sample, image_format, changes, length):
    data = bytearray(samples()[sample % len(samples())])
    for at, value in changes:
        data[at % len(data)] = value
    assert is_sound(jpeg_quality(bytes(data), image_format))
    assert is_sound(jpeg_quality(bytes(data[:length]), image_format))


@pytest.mark.parametrize(
    ("image_format", "data"),
    [
        (ImageFormat.JPEG, b"\xff\xd8" + segment(0xDB, b"\0" * 65 * 1000) * 500),
        (ImageFormat.JPEG, b"\xff\xd8" + b"\xff\xe0\0\2" * 8_000_000),
        (ImageFormat.JPEG, b"\xff\xd8" + b"\0" * 32_000_000),
        (ImageFormat.JPEG, b"\xff" * 32_000_000),
        (ImageFormat.WEBP, b"RIFF    WEBP" + b"JUNK\0\0\0\0" * 4_000_000),
        (ImageFormat.AVIF, box(b"free", b"") * 4_000_000),
        (ImageFormat.AVIF, box(b"meta", bytes(4) + box(b"iref", bytes(4)) * 3_000_000)),
        (ImageFormat.AVIF, avif_file({1: b"\x12\0" * 8_000_000}, primary=1)),
        (ImageFormat.AVIF, avif_file({1: b"\x0a\xff\xff\x03" + bytes(8_000_000)}, primary=1)),
        (ImageFormat.AVIF, avif_file({1: unit(1, [0] * 5 + [1] + [0] * 70) * 90}, primary=1)),
    ],
)
def test_endless_headers_are_given_up(image_format, data):
    seen = Watched(data)
    assert jpeg_quality(seen, image_format) == UNREAD_QUALITY
    assert seen.accesses <= 16 * common.MAX_PARTS
    assert seen.copied <= 1 << 21
