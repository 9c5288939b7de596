"""TIFF: every layout that is read, what is refused before it is decoded, and what is written."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.tiff_pictures import Page, Samples, short, tiff_file, undefined
from images.containers import tiff as tags
from images.containers.common import MAX_PARTS, Unread
from images.decode import decode
from images.encode import encode
from images.metadata.facts import Density, Metadata
from images.opening import read_header
from images.picture import Picture, PictureKind, Raster
from images.tiff_tree import Value
from jobs.errors import (
    CorruptImage,
    ImageTooLarge,
    InvalidRequest,
    OutputTooLarge,
    UnsupportedImage,
)
from jobs.formats import ImageFormat
from tests.support import marked_pictures as marked

LIMIT = 1_000_000
HEIGHT, WIDTH = 40, 50
COMPRESSIONS = (None, "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits")


def noise(channels: int, bits: int = 8) -> Samples:
    """Return noise [HEIGHT, WIDTH, channels]."""
    kind: Any = np.uint16 if bits == 16 else np.uint8
    drawn = np.random.default_rng(0).integers(0, 1 << bits, (HEIGHT, WIDTH, channels))
    return drawn.astype(kind)


def by_pillow(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", **options)
    return buffer.getvalue()


def samples_of(data: bytes, frame: int | None = None) -> Samples:
    """Return the decoded samples, which are as the header states."""
    header, picture = read_header(data, LIMIT, frame), decode(data, LIMIT, frame)
    assert (picture.height, picture.width) == (header.height, header.width)
    assert picture.pixels.bit_depth == header.bit_depth
    assert picture.pixels.has_alpha == header.transparent
    assert picture.pixels.colours == header.colours
    return picture.pixels.samples


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_plain_layouts(mode: str, compression: str | None) -> None:
    samples = noise(len(mode))
    image = Image.fromarray(samples[:, :, 0] if mode == "L" else samples, mode)
    assert (samples_of(by_pillow(image, compression=compression)) == samples).all()


@pytest.mark.parametrize("compression", [*COMPRESSIONS, "group3", "group4", "tiff_ccitt"])
def test_bilevel(compression: str | None) -> None:
    bits = noise(1)[:, :, 0] > 127
    decoded = samples_of(by_pillow(Image.fromarray(bits), compression=compression))
    assert (decoded[:, :, 0] == bits * 255).all()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_palette_becomes_colours(compression: str | None) -> None:
    image = Image.fromarray(noise(3)).quantize(200)
    data = by_pillow(image, compression=compression)
    assert (samples_of(data) == np.asarray(image.convert("RGB"))).all()
    assert decode(data, LIMIT).kind is PictureKind.PALETTE


@pytest.mark.parametrize("largest", [255, 65535])
def test_a_palette_in_8_bits_is_known(largest: int) -> None:
    grey = noise(1)
    ramp = np.round(np.arange(256) * (largest / 255)).astype(int)
    table = {tags.COLOUR_MAP: short(*ramp, *ramp, *ramp[::-1])}
    decoded = samples_of(tiff_file([Page(grey, tags.PALETTE, more=table)]))
    assert (decoded == np.dstack([grey, grey, 255 - grey])).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("deflated", [False, True])
def test_16_bits(order: str, tile: int | None, separate: bool, deflated: bool) -> None:
    samples = noise(4, 16)
    extra = tags.UNASSOCIATED
    page = Page(samples, deflated=deflated, tile=tile, separate=separate, extra=extra)
    assert (samples_of(tiff_file([page], order)) == samples).all()


def test_white_may_be_zero() -> None:
    grey = noise(1, 16)
    assert (samples_of(tiff_file([Page(grey, tags.WHITE_IS_ZERO)])) == 65535 - grey).all()


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits(bits: int) -> None:
    """Rows begin at whole bytes; 1 / 3 of white is 85."""
    most, per_byte = (1 << bits) - 1, 8 // bits
    levels = noise(1)[:, :WIDTH, 0] % (most + 1)
    rows = [
        bytes(
            sum(int(v) << (8 - bits - bits * i) for i, v in enumerate(row[at : at + per_byte]))
            for at in range(0, WIDTH, per_byte)
        )
        for row in levels
    ]
    page = Page(np.frombuffer(b"".join(rows), np.uint8).reshape(HEIGHT, -1, 1), tags.BLACK_IS_ZERO)
    width = {tags.WIDTH: short(WIDTH), tags.BITS: short(bits)}
    data = tiff_file([Page(page.samples, tags.BLACK_IS_ZERO, more=width)])
    assert (samples_of(data)[:, :, 0] == levels * (255 // most)).all()


def test_multiplied_transparency_is_undone() -> None:
    plain = noise(4)
    plain[:, :, 3] = np.maximum(plain[:, :, 3], 128)
    alpha = plain[:, :, 3:] / 255
    stored = np.concatenate([np.round(plain[:, :, :3] * alpha), plain[:, :, 3:]], 2)
    page = Page(stored.astype(np.uint8), extra=tags.ASSOCIATED)
    decoded = samples_of(tiff_file([page])).astype(int)
    assert (decoded[:, :, 3] == plain[:, :, 3]).all()
    assert np.abs(decoded - plain).max() <= 1


def test_a_channel_without_meaning_is_no_transparency() -> None:
    samples = noise(4)
    assert (samples_of(tiff_file([Page(samples, extra=0)])) == samples[:, :, :3]).all()


def test_transparency_may_be_the_second_further_channel() -> None:
    samples = noise(5)
    page = Page(samples, more={tags.EXTRA: short(0, tags.UNASSOCIATED)})
    assert (samples_of(tiff_file([page])) == samples[:, :, [0, 1, 2, 4]]).all()


def test_transparency_beside_a_palette() -> None:
    samples = noise(2)
    ramp = np.arange(256) * 257
    table = {tags.COLOUR_MAP: short(*ramp, *ramp, *ramp[::-1])}
    page = Page(samples, tags.PALETTE, extra=tags.UNASSOCIATED, more=table)
    place, alpha = samples[:, :, 0], samples[:, :, 1]
    expected = np.dstack([place, place, 255 - place, alpha])
    assert (samples_of(tiff_file([page])) == expected).all()


def test_transparency_that_is_stated_but_not_there() -> None:
    assert (samples_of(tiff_file([Page(noise(3), extra=tags.UNASSOCIATED)])) == noise(3)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_that_are_not_stated_are_guessed(channels: int) -> None:
    data = tiff_file([Page(noise(channels))])
    stated, other = struct.pack("<H", tags.PHOTOMETRIC), struct.pack("<H", 269)
    (at,) = struct.unpack_from("<I", data, 4)
    assert data[at:].count(stated + b"\3\0\1\0\0\0") == 1
    hidden = data[:at] + data[at:].replace(stated + b"\3\0\1\0", other + b"\3\0\1\0")
    assert (samples_of(hidden) == noise(channels)).all()


def test_jpeg_has_a_quality_and_is_near() -> None:
    smooth = np.asarray(Image.radial_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB"))
    for mode in ("RGB", "YCbCr"):
        data = by_pillow(Image.fromarray(smooth).convert(mode), compression="jpeg", quality=90)
        assert np.abs(samples_of(data).astype(int) - smooth).mean() < 2
        assert read_header(data, LIMIT).jpeg_quality == pytest.approx(90)
    assert read_header(by_pillow(Image.fromarray(smooth)), LIMIT).jpeg_quality is None


REFUSED = [
    ("CMYK", lambda: by_pillow(Image.new("CMYK", (8, 8)))),
    ("Lab", lambda: by_pillow(Image.new("LAB", (8, 8)))),
    ("32 bits", lambda: by_pillow(Image.new("F", (8, 8)))),
    ("method 50000", lambda: tiff_file([Page(noise(3), more={tags.COMPRESSION: short(50_000)})])),
    ("no unsigned", lambda: tiff_file([Page(noise(3), more={tags.SAMPLE_FORMAT: short(2)})])),
    ("no unsigned", lambda: tiff_file([Page(noise(3), more={tags.SAMPLE_FORMAT: short(4)})])),
    ("several layers", lambda: tiff_file([Page(noise(3), more={tags.DEPTH: short(2)})])),
    ("9 samples", lambda: tiff_file([Page(noise(9))])),
    ("YCbCr", lambda: by_pillow(Image.new("YCbCr", (8, 8)))),
    ("BigTIFF", lambda: b"II+\0" + bytes(40)),
]


@pytest.mark.parametrize(("reason", "make"), REFUSED, ids=[reason for reason, _ in REFUSED])
def test_what_is_not_read_is_refused_with_the_reason(reason: str, make: Any) -> None:
    with pytest.raises(UnsupportedImage, match=reason):
        read_header(make(), LIMIT)


def test_sizes_are_refused_before_decoding() -> None:
    wide = {tags.WIDTH: short(60_000), tags.HEIGHT: short(60_000)}
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        read_header(tiff_file([Page(noise(3), more=wide)]), LIMIT)
    tile = {tags.TILE_WIDTH: short(60_000), tags.TILE_HEIGHT: short(60_000)}
    with pytest.raises(ImageTooLarge):
        read_header(tiff_file([Page(noise(3), tile=16, more=tile)]), LIMIT)


def test_damage_is_found() -> None:
    data = tiff_file([Page(noise(3), deflated=True)])
    with pytest.raises(CorruptImage):  # the directory stands at the end
        read_header(data[:-30], LIMIT)
    damaged = data[:1000] + bytes(200) + data[1200:]
    with pytest.raises(CorruptImage):
        decode(damaged, LIMIT)
    outside = {tags.OFFSETS: Value(4, 1, struct.pack("<I", 1 << 20))}
    with pytest.raises(CorruptImage):
        decode(tiff_file([Page(noise(3), more=outside)]), LIMIT)


def test_pages_are_counted_from_0() -> None:
    pages = [noise(3), 255 - noise(3), noise(1)]
    kinds = [tags.RGB, tags.RGB, tags.BLACK_IS_ZERO]
    data = tiff_file([Page(*page) for page in zip(pages, kinds, strict=True)])
    assert (samples_of(data) == pages[0]).all()
    for number, page in enumerate(pages):
        assert (samples_of(data, number) == page).all()
    with pytest.raises(InvalidRequest, match=r"3 pages.*from 0 \(the first\) to 2, got 3"):
        read_header(data, LIMIT, 3)


def test_small_copies_are_no_pages() -> None:
    small = Page(noise(3)[::2, ::2], more={tags.KIND: short(tags.REDUCED)})
    data = tiff_file([small, Page(noise(3)), small])
    assert (samples_of(data) == noise(3)).all()
    with pytest.raises(InvalidRequest, match="1 page; frame must be 0, got 1"):
        read_header(data, LIMIT, 1)


@pytest.mark.parametrize("target", ["itself", "the pixels", "beyond the file"])
def test_a_wrong_link_ends_the_chain(target: str) -> None:
    """The pages before it are whole."""
    pages = [noise(3), 255 - noise(3)]
    data = bytearray(tiff_file([Page(page) for page in pages]))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    (second,) = struct.unpack_from("<I", data, first + 2 + 12 * count)
    wrong = {"itself": second, "the pixels": 9, "beyond the file": 1 << 30}
    struct.pack_into("<I", data, second + 2 + 12 * count, wrong[target])
    for number, page in enumerate(pages):
        assert (samples_of(bytes(data), number) == page).all()
    with pytest.raises(InvalidRequest, match="2 pages"):
        read_header(bytes(data), LIMIT, 2)


def test_a_damaged_page_leaves_those_before() -> None:
    data = tiff_file([Page(noise(3)), Page(noise(3))])
    assert (samples_of(data[:-30]) == noise(3)).all()


def test_chains_of_too_many_directories_are_refused() -> None:
    empty = b"".join(struct.pack("<HI", 0, 8 + 6 * n) for n in range(1, MAX_PARTS + 2))
    with pytest.raises(CorruptImage):
        read_header(b"II*\0\x08\0\0\0" + empty, LIMIT)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once(orientation: int) -> None:
    page = Page(noise(3), more={tags.ORIENTATION: short(orientation)})
    turns = {1: 0, 3: 2, 6: 3, 8: 1}
    expected = np.rot90(noise(3), turns.get(orientation, 0))
    mirrored = {2: expected[:, ::-1], 4: expected[::-1], 5: expected.transpose(1, 0, 2)}
    mirrored[7] = expected[::-1, ::-1].transpose(1, 0, 2)
    decoded = samples_of(tiff_file([page]))
    assert (decoded == mirrored.get(orientation, expected)).all()
    again = encode(Picture(Raster(decoded)), ImageFormat.TIFF)
    assert read_header(again, LIMIT).orientation == 1


def test_metadata_comes_from_the_directory() -> None:
    picture = decode(marked.tiff("RGB", icc_profile=marked.profile()), LIMIT)
    assert picture.icc == marked.profile()
    assert marked.CAMERA.encode() in picture.metadata.exif
    assert marked.CAMERA.encode() not in picture.rights.exif
    assert marked.AUTHOR.encode() in picture.rights.exif
    assert marked.XMP_TITLE.encode() in picture.metadata.xmp
    assert marked.IPTC_CITY.encode() in picture.metadata.iptc
    density = picture.metadata.density
    assert density is not None
    assert round(density.x * 0.0254) == round(density.y * 0.0254) == marked.DPI


def test_photoshop_resources_may_hold_the_iptc() -> None:
    more = {tags.PHOTOSHOP: undefined(marked.iptc_resources())}
    picture = decode(tiff_file([Page(noise(3), more=more)]), LIMIT)
    assert marked.IPTC_NOTICE.encode() in picture.rights.iptc


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_other_readers_read_what_is_written(channels: int, bits: int) -> None:
    tifffile = pytest.importorskip("tifffile")
    samples = noise(channels, bits)
    data = encode(Picture(Raster(samples)), ImageFormat.TIFF)
    read = tifffile.imread(io.BytesIO(data))
    assert read.dtype == samples.dtype
    assert (read.reshape(samples.shape) == samples).all()
    assert (samples_of(data) == samples).all()
    if bits == 8:
        with Image.open(io.BytesIO(data)) as image:
            assert (np.asarray(image).reshape(samples.shape) == samples).all()


def test_pictures_of_many_strips() -> None:
    tifffile = pytest.importorskip("tifffile")
    samples = np.random.default_rng(1).integers(0, 256, (700, 300, 3), np.uint8)
    data = encode(Picture(Raster(samples)), ImageFormat.TIFF)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages[0].dataoffsets) == 3
        assert (file.pages[0].asarray() == samples).all()


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_what_is_written_beside_the_samples(order: bytes) -> None:
    """The file has the byte order of its EXIF record."""
    record = marked.exif()
    record.endian = "<" if order == b"II" else ">"
    metadata = Metadata(
        record.tobytes(), marked.packet(), b"\x1c\2\x5a\0\5Paris", Density(11811, 11811)
    )
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(Picture(Raster(noise(3, 16)), icc=icc, metadata=metadata), ImageFormat.TIFF)
    assert data.startswith(order)
    again = decode(data, LIMIT).metadata
    assert b"2001:02:03 04:05:06" in again.exif
    assert (again.xmp, again.iptc) == (marked.packet().rstrip(), metadata.iptc) or again.xmp
    assert (samples_of(data) == noise(3, 16)).all()
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        found = file.pages[0].tags
        assert found["Make"].value == marked.CAMERA
        assert found["Artist"].value == marked.AUTHOR
        assert found["XResolution"].value == (300, 1)
        assert found["ResolutionUnit"].value == 2
        assert found["ExifTag"].value["DateTimeOriginal"] == "2001:02:03 04:05:06"
        assert found["GPSTag"].value["GPSLatitudeRef"] == "N"
        assert found["XMP"].value == marked.packet()
        assert found[tags.IPTC].value == metadata.iptc
        assert found["InterColorProfile"].value == icc
        assert "Orientation" not in found


def test_no_entry_of_a_record_changes_how_samples_are_read() -> None:
    """FillOrder, 266, would turn the bits of every byte around."""
    record = Image.Exif()
    record[266], record[0x010F] = 2, "Maker"
    metadata = Metadata(record.tobytes())
    data = encode(Picture(Raster(noise(3)), metadata=metadata), ImageFormat.TIFF)
    assert (samples_of(data) == noise(3)).all()
    assert b"Maker" in data


def test_more_than_4_gb_are_refused() -> None:
    huge = np.broadcast_to(np.zeros((1, 1, 4), np.uint16), (1 << 15, 1 << 15, 4))
    with pytest.raises(OutputTooLarge, match="4 GB"):
        encode(Picture(Raster(huge)), ImageFormat.TIFF)


def test_directories_that_overlap_are_read_with_bounded_work() -> None:
    """62 KB of directories in each other, with 3855 entries each: 15 million together."""
    count, number = 0x0F0F, 4000
    links = 8 + 2 + 12 * count
    file = bytearray(b"\x0f" * (links + 4 * number))
    struct.pack_into("<4sI", file, 0, b"II*\0", 8)
    for place in range(number):
        following = 8 + 4 * (place + 1) if place + 1 < number else 0
        struct.pack_into("<I", file, links + 4 * place, following)
    with pytest.raises(Unread):
        list(tags.TiffFile(bytes(file)).chain())
    few = tags.MAX_ENTRIES // count
    struct.pack_into("<I", file, links + 4 * (few - 1), 0)
    assert len(list(tags.TiffFile(bytes(file)).chain())) == few
