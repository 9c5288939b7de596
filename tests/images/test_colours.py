"""Colours as a colour-managed viewer shows them: what a file states is stated by every output."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from images.colour_space import (
    SRGB,
    SRGB_CHROMATICITIES,
    Calibration,
    Chromaticities,
    Cicp,
    ColourSpace,
    is_hdr,
)
from images.containers.avif import read_avif
from images.decode import decode
from images.encode import encode, writable_formats
from images.jxl_colour import CHROMATICITIES
from images.metadata.facts import Metadata
from images.metadata.xmp import cleaned
from images.opening import read_header
from images.picture import Picture, PictureKind, Raster, Samples
from images.png_colour import space_of_png
from images.profiles import profile_of
from jobs.errors import UnsupportedImage
from jobs.formats import ImageFormat
from tests.support import avif
from tests.support.marked_pictures import packet
from tests.support.png import PALETTE, Chunk, chunks, png
from tests.workers.workbench import LIMITS, a_job
from workers.pipeline import Progress, run_pipeline
from workers.upscale import upscale

LIMIT = 10_000
PNG, JPEG, WEBP, AVIF, JXL = (ImageFormat(name) for name in ("png", "jpeg", "webp", "avif", "jxl"))
WRITABLE = writable_formats()
P3, PQ, HLG = Cicp(12, 13), Cicp(9, 16), Cicp(9, 18)
LINEAR = (b"gAMA", struct.pack(">I", 100_000))
P3_PRIMARIES = (b"cHRM", struct.pack(">8I", *CHROMATICITIES[12]))
SRGB_CHUNK = (b"sRGB", b"\0")
COLOUR = (150, 110, 90)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TO_XYZ = np.array(((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)))
"""From linear sRGB (IEC 61966-2-1)."""
P3_TO_XYZ = np.array(((0.4866, 0.2657, 0.1982), (0.2290, 0.6917, 0.0793), (0.0, 0.0451, 1.0439)))
"""From linear Display P3 (SMPTE EG 432-1 with the white of sRGB)."""

Floats = NDArray[np.float64]


def cicp(space: Cicp, matrix: int = 0, full: int = 1) -> Chunk:
    return b"cICP", bytes((space.primaries, space.transfer, matrix, full))


def flat(colour: tuple[int, ...] = COLOUR, bits: int = 8) -> NDArray[Any]:
    return np.full((32, 32, len(colour)), colour, np.uint8 if bits == 8 else np.uint16)


def stated_by(*stated: Chunk, colour: tuple[int, ...] = COLOUR, bits: int = 8) -> Picture:
    return decode(png(flat(colour, bits), bits, stated), LIMIT)


def linear(levels: Floats) -> Floats:
    """Return the light of sRGB's curve, of levels in [0, 1]."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def viewed(data: bytes) -> NDArray[Any]:
    """Return the mean colour in sRGB, in levels of 8 bits, by the profile that a file embeds. JPEG
    XL, which Pillow does not read, is read by its named space or profile."""
    if data[4:8] == b"JXL " or data[:2] == b"\xff\x0a":
        picture = decode(data, LIMIT)
        icc = picture.icc
        if icc is None and picture.space is not None:
            icc = profile_of(picture.space, picture.pixels.colours == 1)
        pixels = picture.pixels.eight_bits()
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    else:
        image = Image.open(io.BytesIO(data))
        icc = image.info.get("icc_profile")
    if icc is None:
        shown = image.convert("RGB")
    else:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        assert converted is not None
        shown = converted
    mean: NDArray[Any] = np.asarray(shown, float).mean(axis=(0, 1))
    return mean


def in_srgb(light: Floats) -> Floats:
    """Return light of linear sRGB as levels of 8 bits."""
    light = np.clip(light, 0, 1)
    levels: Floats = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return 255 * levels


STATED: list[tuple[list[Chunk], ColourSpace | None]] = [
    ([], None),
    ([SRGB_CHUNK], SRGB),
    ([LINEAR], Calibration(100_000)),
    ([P3_PRIMARIES], Calibration(None, CHROMATICITIES[12])),
    ([LINEAR, P3_PRIMARIES], Calibration(100_000, CHROMATICITIES[12])),
    ([cicp(P3)], P3),
    ([cicp(PQ)], PQ),
    ([cicp(HLG)], HLG),
    # cICP over iCCP, iCCP over sRGB, sRGB over gAMA and cHRM
    ([LINEAR, P3_PRIMARIES, SRGB_CHUNK], SRGB),
    ([LINEAR, SRGB_CHUNK, cicp(P3)], P3),
    # of what the specification excludes nothing counts
    ([LINEAR, cicp(P3, matrix=1)], Calibration(100_000)),
    ([LINEAR, cicp(P3, full=2)], Calibration(100_000)),
    ([LINEAR, cicp(Cicp(3, 13))], Calibration(100_000)),
    ([LINEAR, cicp(Cicp(2, 2))], Calibration(100_000)),
    ([LINEAR, (b"cICP", b"\x0c\x0d\0")], Calibration(100_000)),
    ([(b"gAMA", bytes(4))], None),
    ([(b"cHRM", bytes(32))], None),
    ([(b"cHRM", struct.pack(">8I", *([31_270] * 8)))], None),
]


@pytest.mark.parametrize(("stated", "space"), STATED)
def test_the_statement_that_counts_is_that_of_the_specification(
    stated: list[Chunk], space: ColourSpace | None
) -> None:
    picture = stated_by(*stated)
    assert (picture.space, picture.icc) == (space, None)


def test_a_profile_counts_over_everything_but_code_points() -> None:
    iccp = (b"iCCP", b"p\0\0" + imagecodecs.zlib_encode(PROFILE))
    picture = stated_by(iccp, SRGB_CHUNK, LINEAR)
    assert (picture.space, picture.icc) == (None, PROFILE)
    both = stated_by(iccp, cicp(PQ))
    assert (both.space, both.icc) == (PQ, PROFILE)
    back = chunks(encode(both, PNG))
    assert back[b"cICP"] == bytes((9, 16, 0, 1))
    assert b"iCCP" in back


@pytest.mark.parametrize(
    "broken",
    [b"", PROFILE[:100], PROFILE[:36] + b"none" + PROFILE[40:]],
    ids=["empty", "cut", "unsigned"],  # not by content, which holds the time
)
def test_a_broken_profile_is_passed_over(broken: bytes) -> None:
    iccp = (b"iCCP", b"p\0\0" + imagecodecs.zlib_encode(broken))
    picture = stated_by(iccp, LINEAR)
    assert (picture.space, picture.icc) == (Calibration(100_000), None)


def test_damaged_chunks_are_passed_over() -> None:
    """By their checksum, or by their length."""
    data = bytearray(png(flat(), 8, [LINEAR, P3_PRIMARIES]))
    data[data.index(b"cHRM") + 36] ^= 1
    assert space_of_png(bytes(data), has_profile=False) == (Calibration(100_000), False)
    for kind in (b"cICP", b"sRGB", b"gAMA", b"cHRM"):
        for length in (0, 3, 5, 31, 33):
            data = bytearray(png(flat(), 8, [(kind, bytes(range(1, length + 1)))]))
            assert space_of_png(bytes(data), has_profile=False) == (None, False)


LAYOUTS = {"rgb": 3, "rgba": 4, "grey": 1, "grey+alpha": 2}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "stated", [[LINEAR], [LINEAR, P3_PRIMARIES], [P3_PRIMARIES], [cicp(P3)], [cicp(PQ)]]
)
def test_a_png_states_what_its_source_does(stated: list[Chunk], layout: str, bits: int) -> None:
    colour = (9, 90, 120, 200)[: LAYOUTS[layout]]
    source = stated_by(*stated, colour=colour, bits=bits)
    back = chunks(encode(upscale(source, 64, 64, None, lambda part: None).picture, PNG))
    assert {kind: back.get(kind) for kind, _ in stated} == dict(stated)
    assert b"sRGB" not in back
    tables = source.pixels.colours == 3 or source.space == P3
    assert (b"iCCP" in back) == (isinstance(source.space, Cicp) and tables)


@pytest.mark.parametrize("colour", [COLOUR, COLOUR[:1]])
def test_code_points_have_a_profile_for_readers_that_do_not_know_them(
    colour: tuple[int, ...],
) -> None:
    """Pillow and LittleCMS are such readers."""
    data = encode(stated_by(cicp(P3), colour=colour), PNG)
    light = np.linalg.inv(TO_XYZ) @ P3_TO_XYZ @ linear(np.resize(colour, 3) / 255)
    assert np.abs(viewed(data) - in_srgb(light)).max() <= 2


def test_a_palette_states_what_its_source_does() -> None:
    table = (b"PLTE", bytes(range(12)))
    source = decode(png(flat((2,)), 8, [cicp(P3), table], PALETTE), LIMIT)
    back = encode(source, PNG)
    assert source.kind is PictureKind.PALETTE
    assert (back[25], chunks(back)[b"cICP"]) == (3, bytes((12, 13, 0, 1)))


def test_srgb_is_stated_in_both_ways() -> None:
    back = chunks(encode(stated_by(SRGB_CHUNK), PNG))
    assert (back[b"sRGB"], back[b"cICP"]) == (b"\0", bytes((1, 13, 0, 1)))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_narrow_range_becomes_full(bits: int, channels: int) -> None:
    unit, largest = (1, 255) if bits == 8 else (256, 65535)
    levels = np.array((0, 16, 81, 126, 235, 255)) * unit
    samples = levels.reshape(1, 6, 1).repeat(channels, axis=2)
    picture = decode(png(samples, bits, [cicp(PQ, full=0)]), LIMIT)
    made = picture.pixels.samples
    expected = np.rint(np.clip((levels - 16 * unit) / (219 * unit), 0, 1) * largest)
    colours = 1 if channels < 3 else 3
    assert (made[0, :, :colours] == expected[:, None]).all()
    assert (made[0, :, colours:] == levels[:, None]).all()
    assert chunks(encode(picture, PNG))[b"cICP"] == bytes((9, 16, 0, 1))


@pytest.mark.parametrize("image_format", [f for f in WRITABLE if f is not PNG])
def test_gamma_is_seen_in_every_format(image_format: ImageFormat) -> None:
    data = encode(stated_by(LINEAR), image_format, 100)
    expected = in_srgb(np.array(COLOUR) / 255)
    assert np.abs(viewed(data) - expected).max() <= 3


@pytest.mark.parametrize("gamma", [35_000, 55_556, 220_000])
@pytest.mark.parametrize("image_format", [f for f in WRITABLE if f is not PNG])
def test_any_exponent_is_seen_in_grey(image_format: ImageFormat, gamma: int) -> None:
    data = encode(stated_by((b"gAMA", struct.pack(">I", gamma)), colour=(180,)), image_format, 100)
    expected = in_srgb(np.array((180 / 255) ** (100_000 / gamma)))
    assert np.abs(viewed(data) - expected).max() <= 4


@pytest.mark.parametrize("stated", [cicp(P3), P3_PRIMARIES], ids=["cICP", "cHRM"])
@pytest.mark.parametrize("image_format", [JPEG, WEBP, JXL])
def test_wide_gamut_is_seen_in_every_format(stated: Chunk, image_format: ImageFormat) -> None:
    data = encode(stated_by(stated), image_format, 100)
    light = np.linalg.inv(TO_XYZ) @ P3_TO_XYZ @ linear(np.array(COLOUR) / 255)
    assert np.abs(viewed(data) - in_srgb(light)).max() <= 3


def test_srgb_has_no_profile() -> None:
    nearly = struct.pack(">8I", *(value + 3 for value in SRGB_CHROMATICITIES))
    for stated in ([], [SRGB_CHUNK], [(b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", nearly)]):
        for image_format in (JPEG, WEBP, AVIF):
            data = encode(stated_by(*stated), image_format)
            assert "icc_profile" not in Image.open(io.BytesIO(data)).info


@pytest.mark.parametrize("space", [P3, PQ, HLG, Cicp(1, 1), Cicp(9, 14)])
@pytest.mark.parametrize("image_format", [AVIF, JXL])
@pytest.mark.parametrize("bits", [8, 16])
def test_code_points_go_round(space: Cicp, image_format: ImageFormat, bits: int) -> None:
    """BT.2020's curve of 10 bits (14) is that of BT.709 (1), as which JPEG XL names it."""
    unit = 1 if bits == 8 else 257
    source = stated_by(cicp(space), colour=tuple(value * unit for value in COLOUR), bits=bits)
    back = decode(encode(source, image_format, 98), LIMIT)
    same = Cicp(9, 1) if space == Cicp(9, 14) and image_format is JXL else space
    assert (back.space, back.icc, back.pixels.bit_depth) == (same, None, bits)
    difference = back.pixels.samples.astype(float) - source.pixels.samples
    assert np.abs(difference.mean(axis=(0, 1))).max() <= 2.5 * unit


@pytest.mark.parametrize("space", [PQ, HLG])
@pytest.mark.parametrize("image_format", [JPEG, WEBP])
@pytest.mark.parametrize("channels", [1, 3])
def test_hdr_has_a_profile_with_its_code_points_and_a_table_for_sdr(
    space: Cicp, image_format: ImageFormat, channels: int
) -> None:
    """Diffuse white is light, and black is black, where a viewer knows no HDR."""
    white = {PQ: 148, HLG: 191}[space]
    data = encode(stated_by(cicp(space), colour=(white,) * channels), image_format, 100)
    icc = Image.open(io.BytesIO(data)).info["icc_profile"]
    assert bytes((space.primaries, space.transfer, 0, 1)) in icc[icc.rindex(b"cicp") :][:16]
    assert 140 < viewed(data).min() <= viewed(data).max() < 250
    dark = encode(stated_by(cicp(space), colour=(0,) * channels), image_format, 100)
    assert viewed(dark).max() <= 3


@pytest.mark.parametrize(("space", "level"), [(None, 255), (PQ, 148), (HLG, 191)])
def test_transparency_is_flattened_on_diffuse_white(space: Cicp | None, level: int) -> None:
    samples = np.zeros((16, 16, 4), np.uint8)
    back = decode(encode(Picture(Raster(samples), space=space), JPEG, 100), LIMIT)
    assert np.abs(back.pixels.samples.astype(int) - level).max() <= 2


@pytest.mark.parametrize("space", [Cicp(10, 13), Cicp(1, 9)])
def test_colours_that_no_profile_describes_are_refused(space: Cicp) -> None:
    """CIE XYZ as primaries, and a logarithmic curve."""
    picture = stated_by(cicp(space))
    assert decode(encode(picture, PNG), LIMIT).space == space
    assert decode(encode(picture, AVIF), LIMIT).space == space
    for image_format in (JPEG, WEBP, JXL):
        with pytest.raises(UnsupportedImage, match="png"):
            encode(picture, image_format)


@lru_cache
def coded(bits: int, channels: int = 3, points: tuple[int, int] = (9, 16)) -> bytes:
    samples = np.random.default_rng(bits).integers(0, 1 << bits, (16, 24, channels), np.uint16)
    laid_out: Samples = samples[:, :, 0] if channels == 1 else samples
    laid_out = laid_out.astype(np.uint8) if bits == 8 else laid_out
    primaries, transfer = points
    options: dict[str, Any] = {"bitspersample": bits, "primaries": primaries, "transfer": transfer}
    return bytes(imagecodecs.avif_encode(laid_out, 100, **options))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bits", [10, 12])
def test_a_deep_avif_stays_deep(bits: int, channels: int) -> None:
    data = coded(bits, channels)
    picture = decode(data, LIMIT)
    own = imagecodecs.avif_decode(data).reshape(picture.pixels.samples.shape)
    assert picture.pixels.bit_depth == 16
    assert (picture.kind is PictureKind.GREY) == (channels == 1)
    assert np.abs(picture.pixels.samples / 65535 - own / ((1 << bits) - 1)).max() < 1e-5
    back = imagecodecs.png_decode(encode(picture, PNG))
    assert (back.reshape(own.shape) == picture.pixels.samples).all()


@pytest.mark.parametrize(
    ("points", "space"), [((9, 16), PQ), ((2, 2), None), ((2, 16), Cicp(1, 16)), ((12, 2), P3)]
)
@pytest.mark.parametrize("bits", [8, 10])
def test_an_avif_states_code_points(points: tuple[int, int], space: Cicp | None, bits: int) -> None:
    assert decode(coded(bits, points=points), LIMIT).space == space


def test_an_avif_without_a_statement_is_read_by_its_stream() -> None:
    data = coded(10).replace(b"colrnclx", b"freenclx")
    assert read_avif(data).code_points is None
    assert decode(data, LIMIT).space == PQ


def test_a_profile_counts_over_the_code_points_of_an_avif() -> None:
    buffer = io.BytesIO()
    image = Image.fromarray(flat())
    image.save(buffer, "AVIF", icc_profile=PROFILE)
    item = avif.coded(image, avif.box(b"colr", b"prof" + PROFILE))
    nclx = avif.box(b"colr", b"nclx" + struct.pack(">3HB", 9, 16, 6, 128))
    both = avif.Item(item.kind, item.content, (*item.properties, nclx))
    picture = decode(avif.avif([both]), LIMIT)
    assert (picture.space, picture.icc) == (None, PROFILE)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("space", [None, PQ])
def test_a_deep_avif_keeps_what_any_avif_keeps(channels: int, space: Cicp | None) -> None:
    random = np.random.default_rng(channels)
    samples = random.integers(0, 65536, (4, 4, channels), np.uint16).repeat(8, 0).repeat(8, 1)
    kind = PictureKind.GREY if channels == 2 else PictureKind.COLOUR
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0Abc\0\0\0\0\0"
    icc = PROFILE if space is None and channels > 2 else None
    metadata = Metadata(exif, packet())
    picture = Picture(Raster(samples), kind, icc, metadata, space=space)
    back = decode(encode(picture, AVIF, 100), LIMIT)
    assert (back.icc, back.pixels.bit_depth) == (icc, 16)
    assert b"Abc" in back.metadata.exif
    assert back.metadata.xmp == cleaned(packet())
    assert back.pixels.has_alpha == (channels != 3)
    expected = samples if channels > 2 else samples[:, :, [0, 0, 0, 1]]
    assert np.abs(back.pixels.samples.astype(int) - expected).mean() < 1500


def test_sixteen_bits_of_grey_are_converted_by_their_profile() -> None:
    """An AVIF has no grey here: linear grey of a fifth is 0.4845 in sRGB."""
    icc = profile_of(Calibration(100_000), grey=True)
    samples = np.full((32, 32, 1), 13_107, np.uint16)
    back = decode(encode(Picture(Raster(samples), PictureKind.GREY, icc), AVIF, 100), LIMIT)
    assert back.icc is None
    assert np.abs(back.pixels.samples / 65535 - 0.4845).max() < 0.004


def cmyk() -> bytes:
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), (9, 99, 30, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def grey_with_profile() -> bytes:
    icc = profile_of(Calibration(55_000), grey=True)
    return encode(Picture(Raster(flat((90,))), PictureKind.GREY, icc), PNG)


CONVERTED = [
    (cmyk, set(WRITABLE)),
    (lambda: png(flat(), 8, [cicp(P3, full=0)]), set(WRITABLE)),
    (grey_with_profile, {WEBP, AVIF}),
    (lambda: png(flat((90,)), 8, [LINEAR]), set()),
    (lambda: png(flat(), 8, [cicp(PQ)]), set()),
]


@pytest.mark.parametrize(("source", "converted"), CONVERTED)
@pytest.mark.parametrize("image_format", WRITABLE)
def test_a_conversion_is_named(
    source: Callable[[], bytes], converted: set[ImageFormat], image_format: ImageFormat
) -> None:
    data = source()
    header = read_header(data, LIMIT)
    sides = {"source_width": header.width, "source_height": header.height}
    larger = {"output_width": 2 * header.width, "output_height": 2 * header.height}
    job = a_job(output_format=image_format, **sides, **larger)
    made = run_pipeline(job, data, LIMITS, lambda _: None, Progress())
    assert made.converted == (image_format in converted)


def test_cmyk_is_stated_as_srgb() -> None:
    assert decode(cmyk(), LIMIT).space == SRGB


def test_pq_and_hlg_are_hdr() -> None:
    assert [is_hdr(space) for space in (PQ, HLG, P3, None, Calibration(100_000))] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_chromaticities_are_those_of_the_profile() -> None:
    """LittleCMS reads back white and primaries of a profile that was made of them."""
    stated: Chromaticities = (34_567, 35_850, 73_470, 26_530, 15_960, 84_040, 3_660, 10)
    icc = profile_of(Calibration(45_455, stated), grey=False)
    assert icc is not None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
    red = profile.red_primary
    assert red is not None
    assert np.abs(np.array(red[1][:2]) - (0.7347, 0.2653)).max() < 0.003
