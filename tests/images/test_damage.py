"""Damaged files: trouble beside the pixels costs no picture, missing pixels are an error, and what
is not supported is not called damaged."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.pictures import draw
from images.containers.png_parts import MAX_PROFILE_BYTES
from images.decode import decode
from images.encode import encode
from images.opening import read_header
from images.picture import Picture, Raster
from jobs.errors import MISSING_PIXELS, CorruptImage, UnsupportedImage
from jobs.formats import ImageFormat

LIMIT = 1_000_000
WIDTH, HEIGHT = 83, 50
END = b"\xff\xd9"
Chunk = tuple[bytes, bytes]


def pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return draw(WIDTH, HEIGHT)


def saved(image_format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels()).convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes, damage: int = 0) -> bytes:
    checksum = zlib.crc32(kind + content) ^ damage
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    *before: bytes, stream: bytes | None = None, after: bytes = b"", end: bytes | None = None
) -> bytes:
    """A PNG with chunks before and after its pixels."""
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    packed = zlib.compress(rows()) if stream is None else stream
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *before, chunk(b"IDAT", packed), after]
    return b"".join([*parts, chunk(b"IEND", b"") if end is None else end])


def rows() -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels())


def assert_whole(data: bytes) -> Picture:
    header = read_header(data, LIMIT)
    picture = decode(data, LIMIT)
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert (picture.pixels.samples == pixels()).all()
    return picture


def assert_missing(data: bytes) -> None:
    with pytest.raises(CorruptImage) as refusal:
        decode(data, LIMIT)
    assert refusal.value.detail == MISSING_PIXELS


BOMB = zlib.compress(bytes(64 << 20))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "trouble",
    [
        chunk(b"tEXt", b"Title\0text", damage=1),
        chunk(b"teSt", b"unknown", damage=1),
        chunk(b"zTXt", b"Title\0\0" + BOMB),
        chunk(b"zTXt", b"Title\0\0not zlib"),
        chunk(b"zTXt", b"Title\0\x07" + zlib.compress(b"text")),
        chunk(b"iTXt", b"Title\0\1\0\0\0" + BOMB),
        chunk(b"tEXt", b"Title\0" + bytes(2 << 20)),
        chunk(b"iCCP", b"ICC\0\0" + BOMB),
        chunk(b"iCCP", b"ICC\0\x07junk"),
        chunk(b"pHYs", b"ab"),
        chunk(b"gAMA", b"ab"),
        chunk(b"cHRM", b"ab"),
        chunk(b"tRNS", b"ab"),
        chunk(b"tIME", b""),
        b"".join(chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(900_000))) for _ in range(99)),
    ],
    ids=lambda content: content[4:8].decode() + str(len(content)),
)
def test_trouble_beside_the_pixels_of_a_png(trouble: bytes, after: bool) -> None:
    assert_whole(png(after=trouble) if after else png(trouble))


@pytest.mark.parametrize(
    "data",
    [
        png(end=b""),
        png(end=chunk(b"IEND", b"", damage=1)),
        png(end=chunk(b"IEND", b"")[:6]),
        png(end=b"")[:-4],
        png(end=b"")[:-2],
        png(end=chunk(b"tEXt", b"Title\0text")[:-7]),
        png(end=b"\xff\xff\xff\xfftEXtTitle"),
        png() + b"behind the end",
        png(stream=b"", after=chunk(b"IDAT", zlib.compress(rows()))),
    ],
    ids=["none", "checksum", "cut", "no-crc", "half-crc", "cut-text", "length", "junk", "empty"],
)
def test_the_end_of_a_png(data: bytes) -> None:
    assert_whole(data)


def test_missing_pixels_of_a_png_are_an_error() -> None:
    packed = zlib.compress(rows())
    streams = (packed[: len(packed) // 2], zlib.compress(rows()[: -WIDTH * 3 - 1]), packed[:-20])
    for stream in (*streams, zlib.compress(rows()[:-1]), b""):
        assert_missing(png(stream=stream))
        assert_missing(png(stream=stream, end=b""))
    assert_missing(png(end=b"")[:-40])


def test_damaged_pixels_of_a_png_are_refused() -> None:
    wrong = bytearray(png())
    wrong[-13 - 4] ^= 1  # of the checksum
    with pytest.raises(CorruptImage):
        decode(bytes(wrong), LIMIT)


def test_a_profile_of_megabytes_is_kept() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = srgb + bytes(range(256)) * 6000
    picture = assert_whole(png(chunk(b"iCCP", b"ICC\0\0" + zlib.compress(icc))))
    assert picture.icc == icc
    written = encode(picture, ImageFormat.PNG)
    at = written.index(b"iCCP")  # Pillow refuses to unpack it
    (length,) = struct.unpack(">I", written[at - 4 : at])
    name, packed = written[at + 4 : at + 4 + length].split(b"\0\0", 1)
    assert zlib.decompress(packed) == icc
    assert len(name) < 80
    assert (imagecodecs.png_decode(written) == pixels()).all()  # libpng takes the file
    longer = icc.ljust(MAX_PROFILE_BYTES + 1, b"\0")
    assert assert_whole(png(chunk(b"iCCP", b"ICC\0\0" + zlib.compress(longer)))).icc is None


@pytest.mark.parametrize("kind", [b"CgBI", b"ABCD"])
def test_a_png_with_an_unknown_critical_chunk_is_not_supported(kind: bytes) -> None:
    for read in (read_header, decode):
        with pytest.raises(UnsupportedImage, match=kind.decode()):
            read(png(chunk(kind, b"abcd")), LIMIT)


def test_a_damaged_chunk_of_unknown_meaning_is_trouble_beside_the_pixels() -> None:
    assert_whole(png(chunk(b"ABCD", b"abcd", damage=1)))


JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "full colour": {"subsampling": 0},
    "grey": {"mode": "L"},
    "inks": {"mode": "CMYK"},
    "inks, unusual": {"mode": "CMYK", "subsampling": 2},
    "inks, unusual, progressive": {"mode": "CMYK", "subsampling": 2, "progressive": True},
}
jpegs = pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)


def with_junk(data: bytes) -> bytes:
    """Put bytes of no segment behind the first one."""
    end = 4 + int.from_bytes(data[4:6])
    return data[:end] + b"\0junk\0" + data[end:]


@jpegs
@pytest.mark.parametrize(
    "changed",
    [
        lambda data: data[:-2],
        lambda data: data[:-1],
        lambda data: data + b"behind the end",
        lambda data: data[:-2] + bytes(100),
        lambda data: data[:-2] + b"extraneous" + END,
        with_junk,
    ],
    ids=["no-end", "half-end", "junk", "zeros", "extraneous", "junk-in-front"],
)
def test_trouble_beside_the_pixels_of_a_jpeg(
    options: dict[str, Any], changed: Callable[[bytes], bytes]
) -> None:
    data = saved("JPEG", **options)
    changed_data = changed(data)
    assert read_header(changed_data, LIMIT) == read_header(data, LIMIT)
    same = decode(changed_data, LIMIT).pixels.samples == decode(data, LIMIT).pixels.samples
    assert same.all()


@jpegs
@pytest.mark.parametrize("end", [b"", END], ids=["cut", "end"])
@pytest.mark.parametrize("lost", [4, 30, 0.3, 0.5])
def test_missing_pixels_of_a_jpeg_are_an_error(
    options: dict[str, Any], end: bytes, lost: float
) -> None:
    data = saved("JPEG", **options)
    kept = len(data) - (lost if lost > 1 else int(len(data) * lost))
    cut = data[: int(kept)].rstrip(b"\xff")
    assert_missing(cut + end)


def test_a_progressive_jpeg_without_its_last_scans_is_an_error() -> None:
    data = saved("JPEG", progressive=True)
    for tables in range(3, data.count(b"\xff\xc4")):
        at = -1
        for _ in range(tables):
            at = data.index(b"\xff\xc4", at + 1)
        assert_missing(data[:at] + END)


@pytest.mark.parametrize("quality", [1, 50, 90, 100])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_samples_of_a_jpeg_are_those_of_pillow(mode: str, quality: int) -> None:
    for subsampling in (0, 1, 2):
        for progressive in (False, True):
            options = {"subsampling": subsampling, "progressive": progressive}
            data = saved("JPEG", mode, quality=quality, **options)
            with Image.open(io.BytesIO(data)) as image:
                expected = np.asarray(image.convert("L" if mode == "L" else "RGB"))
            samples = decode(data, LIMIT).pixels.samples
            assert (samples.reshape(expected.shape) == expected).all()


def as_process(marker: int) -> bytes:
    data = bytearray(saved("JPEG"))
    data[data.index(b"\xff\xc0") + 1] = marker
    return bytes(data)


def without_height() -> bytes:
    data = bytearray(saved("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 2] = b"\0\0"
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (imagecodecs.jpeg_encode(pixels().astype(np.uint16) << 4, bitspersample=12), "12-bit JPEG"),
        (imagecodecs.ljpeg_encode(pixels()[:, :, 0].astype(np.uint16) << 8), "16-bit JPEG"),
        (as_process(0xC9), "arithmetically coded JPEG"),
        (as_process(0xCA), "arithmetically coded JPEG"),
        (as_process(0xC5), "hierarchical JPEG"),
        (without_height(), "height"),
    ],
    ids=[
        "12-bit",
        "16-bit lossless",
        "arithmetic",
        "arithmetic-progressive",
        "hierarchical",
        "dnl",
    ],
)
def test_an_unsupported_jpeg_is_not_called_damaged(data: bytes, reason: str) -> None:
    for read in (read_header, decode):
        with pytest.raises(UnsupportedImage, match=reason):
            read(bytes(data), LIMIT)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved("TIFF", big_tiff=True), "BigTIFF"),
        (saved("ICO"), "Windows icon"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
    ],
    ids=["bigtiff", "icon", "photoshop", "pdf"],
)
def test_the_refusal_of_another_format_names_it(data: bytes, name: str) -> None:
    for read in (read_header, decode):
        with pytest.raises(UnsupportedImage, match=f"This is a {name} file"):
            read(data, LIMIT)


def test_a_lossless_jpeg_of_8_bits_is_read_as_it_is() -> None:
    data = bytes(imagecodecs.jpeg8_encode(pixels(), lossless=True))
    assert_whole(data)
    assert read_header(data, LIMIT).jpeg_quality is None


def webp(**options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    return saved("WEBP", exif=exif, **options)


def with_length(data: bytes, length: int) -> bytes:
    return data[:4] + struct.pack("<I", length) + data[8:]


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("length", [0, 100, -2, 2, 1000, 0xFFFFFFFF])
def test_a_webp_that_misstates_its_length_is_read(lossless: bool, length: int) -> None:
    data = webp(lossless=lossless)
    right = len(data) - 8
    wrong = with_length(data, right + length if abs(length) in (2, 1000) else length)
    same = decode(wrong, LIMIT).pixels.samples == decode(data, LIMIT).pixels.samples
    assert same.all()


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_that_is_cut(lossless: bool) -> None:
    data = webp(lossless=lossless)
    picture = data.index(b"VP8L" if lossless else b"VP8 ")
    end = picture + 8 + int.from_bytes(data[picture + 4 : picture + 8], "little")
    whole = decode(data, LIMIT)
    cut = decode(data[:-3], LIMIT)  # in its EXIF
    assert (cut.pixels.samples == whole.pixels.samples).all()
    assert b"Maker" in whole.metadata.exif
    for at in (end - 1, end - 9, picture + 40):
        with pytest.raises(CorruptImage):
            decode(data[:at], LIMIT)


@pytest.mark.parametrize("image_format", ["AVIF", "WEBP", "JPEG", "PNG"])
def test_what_lies_behind_a_picture_does_not_matter(image_format: str) -> None:
    data = saved(image_format)
    for junk in (b"a", bytes(200), b"behind the end"):
        same = decode(data + junk, LIMIT).pixels.samples == decode(data, LIMIT).pixels.samples
        assert same.all()


def test_what_lies_behind_a_jpeg_xl_does_not_matter() -> None:
    data = encode(Picture(Raster(pixels())), ImageFormat.JXL)
    same = decode(data + b"junk", LIMIT).pixels.samples == decode(data, LIMIT).pixels.samples
    assert same.all()
