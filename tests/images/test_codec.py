"""Decoding and encoding: every kind of image comes back as its owner expects."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps
from skimage import data as samples

from images.containers.jxl import CODESTREAM, CONTAINER
from images.decode import decode
from images.encode import encode, writable_formats
from images.metadata.facts import Metadata, Text
from images.picture import Picture, PictureKind, Raster
from jobs.errors import AnimatedImage, CorruptImage, ImageTooLarge, OutputTooLarge, UnsupportedImage
from jobs.formats import ImageFormat
from tests.support.marked_pictures import packet

LIMIT = 1_000_000
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OTHER = SRGB.replace(b"\0\2\x66\x66", b"\0\2\0\0")
"""sRGB but for an exponent of 2.0 instead of 2.4."""
PNG, JPEG, WEBP, AVIF, JXL, *_ = ImageFormat
LOSSY = [f for f in writable_formats() if f.lossy]
BY_PILLOW = [f for f in LOSSY if f is not JXL]


def photograph() -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(samples.astronaut()[30:94, 180:260]))


def saved(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def png16(array: NDArray[np.uint16]) -> bytes:
    """Encode independently of the code under test."""
    return bytes(imagecodecs.png_encode(array))


def opened(data: bytes) -> Image.Image:
    if data.startswith((CODESTREAM, CONTAINER)):  # which Pillow does not read
        data = encode(decode(data, LIMIT), PNG)
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def with_alpha(image: Image.Image) -> Image.Image:
    alpha = Image.linear_gradient("L").resize(image.size)
    image = image.copy()
    image.putalpha(alpha)
    return image


def palette(transparent: bool) -> Image.Image:
    image = photograph().quantize(64)
    if transparent:
        image.info["transparency"] = bytes(range(0, 256, 4))
    return image


def grey_profile() -> bytes:
    """A grey profile by hand: gamma 1.0, so that converting it is seen."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0\0\0\0\0"
    text = b"desc\0\0\0\0\0\0\0\x05grey\0" + b"\0" * 78
    text += b"\0" * (-len(text) % 4)
    tags, body, at = b"", b"", 128 + 4 + 12 * 3
    for name, content in ((b"desc", text), (b"wtpt", white), (b"kTRC", curve)):
        tags += name + struct.pack(">2I", at + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4sI4s4s4s", at + len(body), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ "
    )
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + struct.pack(">I", 3) + tags + body


def round_trip(data: bytes, image_format: ImageFormat = PNG) -> Image.Image:
    return opened(encode(decode(data, LIMIT), image_format))


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (photograph(), "RGB"),
        (photograph().convert("L"), "L"),
        (with_alpha(photograph()), "RGBA"),
        (with_alpha(photograph().convert("L")), "LA"),
        (palette(transparent=False), "P"),
        (palette(transparent=True), "P"),
        (photograph().convert("1"), "L"),
    ],
    ids=["rgb", "grey", "rgba", "grey+alpha", "palette", "palette+alpha", "bilevel"],
)
def test_png_kinds_come_back_exactly(image: Image.Image, mode: str) -> None:
    back = round_trip(saved(image))
    assert back.mode == mode
    assert (np.asarray(back.convert("RGBA")) == np.asarray(image.convert("RGBA"))).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_come_back_exactly(channels: int) -> None:
    random = np.random.default_rng(channels)
    original = random.integers(0, 65536, (30, 41, channels), dtype=np.uint16)
    data = png16(original[:, :, 0] if channels == 1 else original)
    picture = decode(data, LIMIT)
    assert picture.pixels.bit_depth == 16
    assert (picture.pixels.alpha is not None) == (channels in (2, 4))
    back = imagecodecs.png_decode(encode(picture, PNG))
    assert back.dtype == np.uint16
    assert (back.reshape(original.shape) == original).all()


def test_sixteen_bits_become_eight_in_webp() -> None:
    wide = png16(np.full((20, 30, 3), 0x8000, np.uint16))
    back = round_trip(wide, WEBP)
    assert back.size == (30, 20)
    assert np.abs(np.asarray(back).astype(int) - 128).max() <= 2


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode: str) -> None:
    image = photograph().convert("1").convert(mode)
    key = {"1": 255, "L": 255, "RGB": (255, 255, 255)}[mode]
    picture = decode(saved(image, transparency=key), LIMIT)
    assert picture.pixels.alpha is not None
    white = np.asarray(image.convert("L")) == 255
    assert (picture.pixels.alpha == np.where(white, 0, 1)).all()


def test_more_than_256_colours_leave_the_palette() -> None:
    picture = decode(saved(palette(transparent=True)), LIMIT)
    assert picture.kind is PictureKind.PALETTE
    colours = decode(saved(photograph()), LIMIT).pixels.samples
    samples = np.concatenate((colours, picture.pixels.samples[:, :, 3:]), axis=2)
    many = Picture(Raster(samples), PictureKind.PALETTE)
    assert opened(encode(many, PNG)).mode == "RGBA"


@pytest.mark.parametrize(("number", "mode"), [(1, "P"), (2, "P"), (256, "P"), (257, "RGB")])
def test_a_palette_holds_256_colours_wherever_they_are(number: int, mode: str) -> None:
    """Most of the colours are below the first strip of rows."""
    samples = np.full((300, 5, 3), (7, 200, 3), np.uint8)
    samples.reshape(-1, 3)[-number:, 2] = np.arange(number) % 256
    samples[0, 0] = samples[-1, -1] if number < 257 else (1, 2, 3)
    back = opened(encode(Picture(Raster(samples), PictureKind.PALETTE), PNG))
    assert back.mode == mode
    assert (np.asarray(back.convert("RGB")) == samples).all()


@pytest.mark.parametrize("image_format", LOSSY)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossy_formats_come_back_close(image_format: ImageFormat, mode: str) -> None:
    image = photograph().convert(mode)
    back = round_trip(saved(image), image_format)
    assert back.mode == (mode if image_format.facts.keeps_grey else "RGB")
    difference = np.asarray(back.convert("RGB"), int) - np.asarray(image.convert("RGB"), int)
    assert np.sqrt(np.mean(difference**2)) < 6


@pytest.mark.parametrize("image_format", [f for f in LOSSY if f is not JPEG])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_lossy_formats_keep_transparency(image_format: ImageFormat, mode: str) -> None:
    image = with_alpha(photograph().convert(mode))
    back = round_trip(saved(image), image_format)
    assert back.mode == (mode if image_format.facts.keeps_grey else "RGBA")
    expected = np.asarray(image.getchannel("A"), int)
    assert np.abs(np.asarray(back.getchannel("A"), int) - expected).mean() < 3


def test_jpeg_is_flattened_on_white() -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 16, 32))
    back = round_trip(saved(image), JPEG)
    assert np.abs(np.asarray(back)[:, 24:].astype(int) - 255).max() <= 3
    assert np.abs(np.asarray(back)[:, :8].astype(int) - (0, 0, 255)).max() <= 3


@pytest.mark.parametrize(("quality", "subsampled"), [(90, False), (None, False), (89, True)])
def test_jpeg_keeps_full_colour_at_high_quality(quality: int | None, subsampled: bool) -> None:
    data = encode(decode(saved(photograph()), LIMIT), JPEG, quality)
    layers = {layer[1:3] for layer in opened(data).layer}  # type: ignore[attr-defined]
    assert (layers == {(1, 1)}) == (not subsampled)


@pytest.mark.parametrize("image_format", LOSSY)
def test_quality_matters(image_format: ImageFormat) -> None:
    picture = decode(saved(photograph()), LIMIT)
    assert len(encode(picture, image_format, 30)) < len(encode(picture, image_format, 95))


@pytest.mark.parametrize("image_format", [JPEG, PNG, WEBP])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_dropped(image_format: ImageFormat, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    options = {"lossless": True} if image_format is WEBP else {}
    data = saved(photograph(), image_format.value, exif=exif, **options)
    upright = ImageOps.exif_transpose(opened(data))
    back = round_trip(data)
    assert (np.asarray(back) == np.asarray(upright)).all()
    assert dict(back.getexif()) == {0x010F: "Maker"}


def test_orientation_of_sixteen_bits_is_applied() -> None:
    original = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10_000
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = png16(original)
    content = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + content))
    picture = decode(plain[:33] + chunk + plain[33:], LIMIT)
    assert (imagecodecs.png_decode(encode(picture, PNG)) == np.rot90(original, -1)).all()


@pytest.mark.parametrize("image_format", [PNG, *LOSSY])
def test_other_exif_is_kept_without_sizes_and_thumbnail(image_format: ImageFormat) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 3
    exif.get_ifd(0x8769).update({0x829A: 0.5, 0xA002: 80, 0xA003: 64})
    exif.get_ifd(0x8825).update({1: "N"})
    data = saved(photograph(), "JPEG", exif=exif)
    back = round_trip(data, image_format).getexif()
    assert back[0x010F] == "Maker"
    assert back.get(0x0112, 1) == 1
    assert set(back.get_ifd(0x8769)) == {0x829A}
    assert back.get_ifd(0x8825) == {1: "N"}


def test_an_embedded_thumbnail_does_not_come_back() -> None:
    thumbnail = saved(photograph(), "JPEG")
    entry = struct.pack("<HHII", 0x010F, 2, 4, int.from_bytes(b"Abc\0", "little"))
    second_at = 8 + 2 + 12 + 4
    second = struct.pack("<H", 2)
    at = second_at + 2 + 24 + 4
    second += struct.pack("<HHII", 0x0201, 4, 1, at)
    second += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + b"\0" * 4
    record = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", second_at)
    data = saved(photograph(), "JPEG", exif=b"Exif\0\0" + record + second + thumbnail)
    assert opened(data).getexif().get_ifd(ExifTags.IFD.IFD1)[0x0202] == len(thumbnail)
    picture = decode(data, LIMIT)
    assert b"Abc" in picture.metadata.exif
    assert b"\xff\xd8" not in picture.metadata.exif


@pytest.mark.parametrize("image_format", [PNG, *BY_PILLOW])  # JPEG XL names sRGB without a profile
@pytest.mark.parametrize(
    "image", [photograph(), with_alpha(photograph()), palette(True)], ids=["rgb", "rgba", "palette"]
)
def test_the_icc_profile_is_kept(image_format: ImageFormat, image: Image.Image) -> None:
    back = round_trip(saved(image, icc_profile=SRGB), image_format)
    assert back.info["icc_profile"] == SRGB


def test_the_icc_profile_of_sixteen_bits_is_kept() -> None:
    wide = png16(np.full((20, 30, 3), 999, np.uint16))
    content = b"p\0\0" + zlib.compress(SRGB)
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content
    chunk += struct.pack(">I", zlib.crc32(b"iCCP" + content))
    back = encode(decode(wide[:33] + chunk + wide[33:], LIMIT), PNG)
    assert opened(back).info["icc_profile"] == SRGB
    assert (imagecodecs.png_decode(back) == 999).all()


def test_a_grey_profile_is_kept_where_grey_is_kept() -> None:
    data = saved(photograph().convert("L"), icc_profile=grey_profile())
    assert round_trip(data).info["icc_profile"] == grey_profile()
    assert round_trip(data, JPEG).info["icc_profile"] == grey_profile()


def test_a_grey_profile_is_applied_where_grey_is_not_kept() -> None:
    """Linear grey 0.2 is about 0.48 in sRGB."""
    data = saved(Image.new("L", (32, 32), 51), icc_profile=grey_profile())
    back = round_trip(data, WEBP)
    assert "icc_profile" not in back.info
    assert abs(int(np.asarray(back)[16, 16, 0]) - 124) <= 4


def test_a_profile_of_another_colour_space_is_dropped() -> None:
    data = saved(photograph().convert("L"), "JPEG", icc_profile=SRGB)
    assert decode(data, LIMIT).icc is None


def test_cmyk_becomes_rgb_without_its_profile() -> None:
    image = photograph()
    data = saved(image.convert("CMYK"), "JPEG", quality=98, icc_profile=b"\0" * 16 + b"CMYK")
    picture = decode(data, LIMIT)
    assert picture.icc is None
    assert picture.pixels.colour.shape == (3, 64, 80)
    difference = np.moveaxis(picture.pixels.colour, 0, 2) * 255 - np.asarray(image, float)
    assert np.sqrt(np.mean(difference**2)) < 8


@pytest.mark.parametrize("image_format", [PNG, *LOSSY])
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.97])
def test_truncated_data_is_corrupt(image_format: ImageFormat, kept: float) -> None:
    data = encode(decode(saved(photograph()), LIMIT), image_format)
    with pytest.raises(CorruptImage):
        decode(data[: int(len(data) * kept)], LIMIT)


@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_truncated_sixteen_bits_are_corrupt(kept: float) -> None:
    random = np.random.default_rng(0)
    data = png16(random.integers(0, 65536, (30, 40, 3), dtype=np.uint16))
    with pytest.raises(CorruptImage):
        decode(data[: int(len(data) * kept)], LIMIT)


def test_a_flipped_byte_in_a_png_is_corrupt() -> None:
    data = bytearray(saved(photograph()))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorruptImage):
        decode(bytes(data), LIMIT)


def test_sizes_are_refused_before_decoding() -> None:
    with pytest.raises(ImageTooLarge):
        decode(saved(photograph()), 64 * 80 - 1)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_animations_are_refused(image_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), (90 * i, 0, 0)) for i in range(3)]
    data = saved(frames[0], image_format, save_all=True, append_images=frames[1:])
    with pytest.raises(AnimatedImage):
        decode(data, LIMIT)


def test_text_is_no_image() -> None:
    with pytest.raises(UnsupportedImage):
        decode(b"this is a text file, whatever its name says", LIMIT)


@pytest.mark.parametrize("image_format", [PNG, *LOSSY])
@pytest.mark.parametrize("upright", [False, True])
def test_the_longest_side_is_read_back(image_format: ImageFormat, upright: bool) -> None:
    side = image_format.max_side
    line = np.zeros((1, side, 3), np.uint8)
    line[0, ::2] = 200
    samples = line.transpose(1, 0, 2) if upright else line
    data = encode(Picture(Raster(samples)), image_format)
    back = decode(data, LIMIT)
    assert (back.height, back.width) == samples.shape[:2]
    assert imagecodecs.imread(data).shape[:2] == samples.shape[:2]


@pytest.mark.parametrize("image_format", [PNG, *LOSSY])
def test_a_longer_side_is_refused(image_format: ImageFormat) -> None:
    side = image_format.max_side + 1
    with pytest.raises(OutputTooLarge) as refusal:
        encode(Picture(Raster(np.zeros((1, side, 3), np.uint8))), image_format)
    assert refusal.value.details == {"max_side": image_format.max_side}


@pytest.mark.parametrize("image_format", [JPEG, WEBP])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_become_the_nearest_eight(channels: int, image_format: ImageFormat) -> None:
    """The picture is taller than one strip."""
    random = np.random.default_rng(channels)
    eight = random.integers(0, 255, (90, 31, channels), np.uint8, endpoint=True)
    near = eight.astype(np.int64) * 257 + random.integers(-128, 129, eight.shape)
    sixteen = np.clip(near, 0, 65535).astype(np.uint16)
    if channels in (2, 4):  # pictures are flattened on white before they are rounded
        sixteen[:, :, -1] = eight[:, :, -1].astype(np.uint16) * 257
        sixteen[:, :, :-1] = eight[:, :, :-1].astype(np.uint16) * 257
    layout = PictureKind.GREY if channels < 3 else PictureKind.COLOUR
    written = [encode(Picture(Raster(s), layout), image_format) for s in (eight, sixteen)]
    assert written[0] == written[1]


def test_planes_are_the_samples_over_the_largest() -> None:
    image = with_alpha(photograph())
    picture = decode(saved(image), LIMIT)
    planes = np.moveaxis(np.asarray(image, np.float32) / np.float32(255), 2, 0)
    assert picture.pixels.alpha is not None
    assert (picture.pixels.colour == planes[:3]).all()
    assert (picture.pixels.alpha == planes[3]).all()


METADATA = [
    (None, b""),
    (SRGB, b""),
    (None, b"Exif\0\0" + bytes(range(256)) * 250),
    (SRGB + bytes(range(256)) * 600, b"Exif\0\0MM\0*"),
]


@pytest.mark.parametrize(("icc", "exif"), METADATA, ids=["none", "icc", "long exif", "long icc"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [1, 89, 90, 100])
def test_jpegs_are_those_of_pillow(
    quality: int, channels: int, icc: bytes | None, exif: bytes
) -> None:
    """To the bit, in sizes that are no multiple of a block's; a profile above 65 kB in parts."""
    pixels = np.random.default_rng(quality).integers(0, 256, (37, 51, channels), np.uint8)
    image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])
    subsampling = 2 if quality < 90 and channels == 3 else 0
    options = {"quality": quality, "subsampling": subsampling, "icc_profile": icc, "exif": exif}
    picture = Picture(Raster(pixels), icc=icc, metadata=Metadata(exif))
    assert encode(picture, JPEG, quality) == saved(image, "JPEG", **options)
    info = opened(encode(picture, JPEG, quality)).info
    assert (info.get("icc_profile"), info.get("exif", b"")) == (icc, exif)


def test_what_no_jpeg_holds_of_metadata_is_left_out() -> None:
    pixels = np.asarray(photograph())
    picture = Picture(
        Raster(pixels), icc=bytes(256 * 65_519), metadata=Metadata(b"Exif\0\0" + bytes(65_528))
    )
    assert encode(picture, JPEG) == encode(Picture(Raster(pixels)), JPEG)


def test_profile_and_exif_stand_between_header_and_samples_of_a_png() -> None:
    picture = Picture(
        Raster(np.asarray(photograph())), icc=SRGB, metadata=Metadata(b"Exif\0\0MM\0*")
    )
    data, at, chunks = encode(picture, PNG), 8, []
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + content) == int.from_bytes(
            data[at + 8 + length : at + 12 + length]
        )
        chunks.append(kind)
        at += 12 + length
    assert chunks[:3] == [b"IHDR", b"iCCP", b"eXIf"]
    assert set(chunks[3:-1]) == {b"IDAT"}
    assert chunks[-1] == b"IEND"


@pytest.mark.parametrize("image_format", [PNG, JPEG])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (16, 16), (65, 257)])
def test_incompressible_pictures_fit_the_buffer(
    image_format: ImageFormat, size: tuple[int, int]
) -> None:
    """Incompressible pictures are largest: for PNG with one pixel a row, for JPEG with one row."""
    random = np.random.default_rng(0)
    for channels, deep in itertools.product((1, 2, 3, 4), (False, True)):
        bits = random.integers(0, 2, (*size, channels))
        samples = (bits * 65535).astype(np.uint16) if deep else (bits * 255).astype(np.uint8)
        picture = Picture(Raster(samples))
        assert opened(encode(picture, image_format, 100)).size == size[::-1]


@pytest.mark.parametrize("image_format", [PNG, *LOSSY])
def test_a_format_keeps_what_its_table_says(image_format: ImageFormat) -> None:
    random = np.random.default_rng(0)
    sixteen = random.integers(0, 65536, (32, 32, 2), np.uint16)
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    metadata = Metadata(exif.tobytes(), packet(), b"\x1c\2\x50\0\1A", None, (Text("Title", "A"),))
    picture = Picture(Raster(sixteen), PictureKind.GREY, grey_profile(), metadata)
    back = decode(encode(picture, image_format), LIMIT)
    coloured = Picture(Raster(sixteen[:, :, [0, 0, 0]]), icc=OTHER)
    facts = image_format.facts
    assert (back.kind is PictureKind.GREY) == facts.keeps_grey
    assert back.pixels.has_alpha == facts.keeps_alpha
    assert (back.pixels.bit_depth == 16) == (facts.keeps_16_bits or facts.keeps_10_bits)
    assert (b"Maker" in back.metadata.exif) == facts.keeps_exif
    assert bool(back.metadata.xmp) == facts.keeps_xmp
    assert bool(back.metadata.iptc) == facts.keeps_iptc
    assert bool(back.metadata.texts) == facts.keeps_texts
    assert (decode(encode(coloured, image_format), LIMIT).icc == OTHER) == facts.keeps_icc
