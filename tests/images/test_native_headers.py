"""Headers are read without native parsers. Those of WebP and AVIF are what Pillow says after
opening, and bounded for any other file."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.WebPImagePlugin import WebPImageFile

from images import opening
from images.containers.common import MAX_PARTS
from images.decode import decode
from images.opening import open_image, read_header
from jobs.errors import AnimatedImage, CorruptImage, ImageTooLarge, InputError
from jobs.formats import ImageFormat
from tests.support import avif as built
from tests.support.avif import Item, avif, coded, grid
from tests.support.watched import Watched

pytestmark = pytest.mark.skipif(
    not (features.check("webp") and features.check("avif")), reason="Pillow without WebP or AVIF"
)

LIMIT = 1_000_000
PARSERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
}
SIZES = [(1, 1), (33, 21), (16, 9), (2, 301)]
METADATA: dict[str, Any] = {
    "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
}


class NativeParserOpened(BaseException):
    """No `except Exception` hides it."""


@contextmanager
def without_native_parsers() -> Iterator[None]:
    """Make Pillow's classes for WebP and AVIF raise when one is opened."""

    def refuse(_: object) -> None:
        raise NativeParserOpened

    with pytest.MonkeyPatch.context() as patch:
        for parser in PARSERS.values():
            patch.setattr(parser, "_open", refuse)
        yield


def drawn(mode: str = "RGB", size: tuple[int, int] = (33, 21)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def saved(image_format: str, mode: str, size: tuple[int, int] = (33, 21), **options: Any) -> bytes:
    buffer = io.BytesIO()
    drawn(mode, size).save(buffer, format=image_format, **options)
    return buffer.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "A maker"
    return exif


def of_properties(*properties: bytes) -> bytes:
    return avif([coded(drawn(), *properties)])


def with_exif_only() -> bytes:
    """An AVIF whose record states a turn that its container does not."""
    record = Item(b"Exif", bytes(4) + exif_of(6).tobytes()[6:])
    return avif([coded(drawn()), record], [(b"cdsc", 2, (1,))])


def with_auxiliary(name: bytes = built.ALPHA_NAME, wide: bool = False) -> bytes:
    auxiliary = coded(drawn("L"), built.auxiliary(name))
    return avif([coded(drawn()), auxiliary], [(b"auxl", 2, (1,))], wide)


def grid_of(
    mode: str,
    alphas: int,
    tile_size: bytes = built.size(64, 64),
    own_size: tuple[bytes, ...] = (),
    wide: bool = False,
) -> bytes:
    """Return a picture of 120 x 50 pixels in two tiles, some of which have transparency."""
    tile, alpha = drawn(mode, (64, 64)), drawn("L", (64, 64))
    whole = grid(1, 2, 120, 50, *own_size)
    tiles = [coded(tile, tile_size)] * 2
    auxiliary = [coded(alpha, built.auxiliary())] * alphas
    references = [(b"dimg", 1, (2, 3)), *((b"auxl", 4 + n, (2 + n,)) for n in range(alphas))]
    return avif([whole, *tiles, *auxiliary], references, wide)


def webp_of_frames(count: int) -> bytes:
    """Return an animated WebP (RFC 9649, 2.7.1)."""
    still = saved("WEBP", "RGB", lossless=True)[12:]
    frame = bytes(6) + number24(32) + number24(20) + bytes(4) + still
    chunks = b"VP8X" + struct.pack("<II", 10, 0x02) + number24(32) + number24(20)
    chunks += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    chunks += (b"ANMF" + struct.pack("<I", len(frame)) + frame) * count
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def with_flags(mode: str, lossless: bool, flags: int) -> bytes:
    """Return an extended WebP with other flags (RFC 9649, 2.7)."""
    data = bytearray(saved("WEBP", mode, lossless=lossless, exif=exif_of(1)))
    data[20] = flags
    return bytes(data)


def number24(number: int) -> bytes:
    return number.to_bytes(3, "little")


Maker = Callable[[], bytes]


def webp_makers() -> dict[str, Maker]:
    found: dict[str, Maker] = {
        f"webp {mode} {size} lossless={lossless}": partial(
            saved, "WEBP", mode, size, lossless=lossless
        )
        for mode, size, lossless in product(("L", "RGB", "RGBA"), SIZES, (False, True))
    }
    for mode, lossless in product(("RGB", "RGBA"), (False, True)):
        found[f"webp {mode} lossless={lossless} extended"] = partial(
            saved, "WEBP", mode, lossless=lossless, exif=exif_of(1), **METADATA
        )
    for orientation in range(9):
        found[f"webp turned {orientation}"] = partial(
            saved, "WEBP", "RGB", exif=exif_of(orientation)
        )
    found["webp wide"] = partial(saved, "WEBP", "RGB", (16_383, 2))
    found["webp of one frame"] = partial(webp_of_frames, 1)
    found["webp transparency without its flag"] = partial(with_flags, "RGBA", False, 0)
    found["webp flag without transparency"] = partial(with_flags, "RGB", True, 0x18)
    return found


def avif_makers() -> dict[str, Maker]:
    found: dict[str, Maker] = {
        f"avif {mode} {size}": partial(saved, "AVIF", mode, size, speed=10)
        for mode, size in product(("L", "LA", "RGB", "RGBA"), SIZES)
    }
    for mode, subsampling in product(("RGB", "RGBA"), ("4:0:0", "4:2:0", "4:2:2", "4:4:4")):
        found[f"avif {mode} {subsampling}"] = partial(
            saved, "AVIF", mode, subsampling=subsampling, speed=10
        )
    for orientation in range(9):
        found[f"avif turned {orientation}"] = partial(
            saved, "AVIF", "RGB", exif=exif_of(orientation), speed=10, **METADATA
        )
    return found


def built_makers() -> dict[str, Maker]:
    """Files that Pillow does not write."""
    found: dict[str, Maker] = {}
    for turns, axis in product(range(4), (None, 0, 1)):
        mirror = () if axis is None else (built.mirrored(axis),)
        found[f"avif turns={turns} mirror={axis}"] = partial(
            of_properties, built.rotated(turns), *mirror
        )
    found["avif with a turn in EXIF only"] = with_exif_only
    found["avif of another size"] = partial(of_properties, built.size(48, 40))
    found["avif auxiliary of another kind"] = partial(with_auxiliary, b"urn:depth")
    found["avif grid with one alpha tile"] = partial(grid_of, "RGB", 1)
    for wide in (False, True):
        found[f"avif alpha wide={wide}"] = partial(with_auxiliary, wide=wide)
        found[f"avif grid RGB wide={wide}"] = partial(grid_of, "RGB", 0, wide=wide)
        found[f"avif grid L wide={wide}"] = partial(grid_of, "L", 0, wide=wide)
        found[f"avif grid alpha wide={wide}"] = partial(grid_of, "RGB", 2, wide=wide)
    return found


MAKERS = webp_makers() | avif_makers() | built_makers()
"""Files by name; none is animated."""


@functools.cache
def made(name: str) -> bytes:
    return MAKERS[name]()


@pytest.mark.parametrize("name", MAKERS)
def test_a_header_is_what_pillow_says_after_opening(name: str) -> None:
    data = made(name)
    with without_native_parsers():
        header = read_header(data, LIMIT)
    opened = PARSERS[header.format](io.BytesIO(data))
    orientation = opened.getexif().get(0x0112, 1) or 1
    width, height = opened.size[::-1] if orientation > 4 else opened.size
    assert (header.width, header.height) == (width, height)
    assert (header.orientation, header.mode, header.bit_depth) == (orientation, opened.mode, 8)
    picture = decode(data, LIMIT)
    assert (picture.width, picture.height) == (width, height)


def test_the_guard_of_these_tests_notices_a_native_parser() -> None:
    for data in (saved("WEBP", "RGB"), saved("AVIF", "RGB")):
        with without_native_parsers(), pytest.raises(NativeParserOpened):
            open_image(data, LIMIT)


class Refusing:
    """Pillow's native code, none of which may be used."""

    def __getattr__(self, name: str) -> Any:
        raise NativeParserOpened(name)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_pillow_reads_headers_of_png_and_jpeg_in_python(
    image_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(image_format, "RGB", exif=exif_of(6), **METADATA)
    image = open_image(data, LIMIT).image
    assert image is not None
    monkeypatch.setattr(Image, "core", Refusing())
    assert read_header(data, LIMIT).orientation == 6
    with pytest.raises(NativeParserOpened):
        image.load()


@pytest.mark.parametrize("name", ["webp L (1, 1) lossless=True", "webp RGBA (1, 1) lossless=False"])
def test_a_webp_that_is_cut_anywhere_is_refused(name: str) -> None:
    assert_no_prefix_is_read(made(name))


@pytest.mark.parametrize(
    "name", ["avif L (1, 1)", "avif RGBA (1, 1)", "avif turned 7", "avif grid alpha wide=True"]
)
def test_an_avif_that_is_cut_anywhere_is_refused(name: str) -> None:
    assert_no_prefix_is_read(made(name))


def assert_no_prefix_is_read(data: bytes) -> None:
    with without_native_parsers():
        for length in range(len(data)):
            with pytest.raises(InputError):
                read_header(data[:length], LIMIT)


Change = tuple[str, int, bytes]
"""What is done, where (modulo the length), and the bytes that are written."""
CHANGES = st.tuples(
    st.sampled_from(["overwrite", "insert", "delete", "cut"]),
    st.one_of(st.integers(0, 200), st.integers(0, 1 << 16)),
    st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\0\0\0\0", b"\xff" * 4])),
)


def changed(data: bytes, changes: list[Change]) -> bytes:
    found = bytearray(data)
    for what, place, content in changes:
        at = place % max(1, len(found))
        end = {"insert": at, "cut": len(found)}.get(what, at + len(content))
        found[at:end] = content if what in ("overwrite", "insert") else b""
    return bytes(found)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(MAKERS)), st.lists(CHANGES, min_size=1, max_size=5))
def test_any_change_leaves_a_bounded_header_or_an_error_of_ours(
    name: str, changes: list[Change]
) -> None:
    data = Watched(changed(made(name), changes))
    with without_native_parsers():
        try:
            header = read_header(data, LIMIT)
        except InputError:
            header = None
    assert data.accesses <= 100 * MAX_PARTS
    if header is not None:
        assert min(header.width, header.height) > 0
        assert header.pixels <= LIMIT
        assert header.orientation in range(1, 9)
        assert header.mode in ("L", "RGB", "RGBA")


def with_table(count: int) -> bytes:
    """Return an AVIF with one more table, of 60,000 items and so many properties of each."""
    entries = (struct.pack(">HB", item, count) + bytes(count) for item in range(2, 60_002))
    table = built.box(b"ipma", struct.pack(">II", 0, 60_000) + b"".join(entries))
    return avif([coded(drawn())], associations=table)


def with_references(targets: int, count: int, properties: int = 0) -> bytes:
    """Return an AVIF with so many references from one item of so many properties."""
    item = coded(drawn(), *(built.box(b"free", bytes([n])) for n in range(properties)))
    return avif([item], [(b"auxl", 1, (1,) * targets)] * count)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"RIFF\xf8\xff\xff\0WEBP" + b"JUNK\0\0\0\0" * 2_100_000,
        lambda: b"RIFF\xf8\xff\xff\0" + webp_of_frames(1)[8:30] + b"JUNK\0\0\0\0" * 2_100_000,
        lambda: with_table(0),
        lambda: with_table(255),
        lambda: with_references(1, 500_000),
        lambda: with_references(60_000, 50),
        lambda: with_references(4000, 1, properties=250),
    ],
    ids=["chunks", "after VP8X", "entries", "associations", "references", "targets", "auxiliaries"],
)
def test_endless_structures_are_given_up(make: Maker) -> None:
    data = Watched(make())
    with without_native_parsers(), suppress(InputError):
        read_header(data, LIMIT)
    assert data.accesses <= 20 * MAX_PARTS
    assert data.copied <= 1 << 21


def riff(kind: bytes, content: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


LOSSY = b"\x50\0\0\x9d\x01\x2a\x08\0\x08\0" + bytes(20)
LOSSLESS = b"\x2f\x07\xc0\x01\0" + bytes(20)


@pytest.mark.parametrize(
    "data",
    [
        riff(b"VP8 ", b"\x51" + LOSSY[1:]),
        riff(b"VP8 ", b"\x58" + LOSSY[1:]),
        riff(b"VP8 ", b"\x40" + LOSSY[1:]),
        riff(b"VP8 ", b"\xd0\x03" + LOSSY[2:]),
        riff(b"VP8 ", LOSSY[:5] + b"\x2b" + LOSSY[6:]),
        riff(b"VP8 ", LOSSY[:6] + b"\0\x40" + LOSSY[8:]),
        riff(b"VP8 ", LOSSY[:8] + b"\0\x40" + LOSSY[10:]),
        riff(b"VP8 ", LOSSY[:8]),
        riff(b"VP8L", b"\x2e" + LOSSLESS[1:]),
        riff(b"VP8L", LOSSLESS[:4] + b"\x20" + LOSSLESS[5:]),
        riff(b"VP8L", LOSSLESS[:4]),
        riff(b"ALPH", LOSSLESS),
        riff(b"VP8X", b""),
        riff(b"VP8X", bytes(10)),
    ],
    ids=[
        *("no key frame", "profile", "not shown", "partition", "start code", "width", "height"),
        *("short", "signature", "version", "short lossless", "no picture"),
        *("empty extension", "extension without picture"),
    ],
)
def test_damaged_webp_headers_are_refused_as_by_pillow(data: bytes) -> None:
    for whole in (riff(b"VP8 ", LOSSY), riff(b"VP8L", LOSSLESS)):
        assert WebPImageFile(io.BytesIO(whole)).size == (8, 8)
        assert read_header(whole, LIMIT).pixels == 64
    with pytest.raises((OSError, SyntaxError)):
        WebPImageFile(io.BytesIO(data))
    with pytest.raises(CorruptImage):
        read_header(data, LIMIT)


def test_a_webp_of_two_frames_is_animated() -> None:
    with without_native_parsers(), pytest.raises(AnimatedImage):
        read_header(webp_of_frames(2), LIMIT)
    with without_native_parsers(), pytest.raises(CorruptImage):
        read_header(webp_of_frames(0), LIMIT)


def test_a_canvas_is_limited() -> None:
    data = made("webp RGBA lossless=False extended")
    assert read_header(data, 33 * 21).pixels == 33 * 21
    with without_native_parsers(), pytest.raises(ImageTooLarge):
        read_header(data, 33 * 21 - 1)


def test_a_canvas_of_another_size_than_its_picture_is_corrupt() -> None:
    data = bytearray(made("webp RGBA lossless=False extended"))
    data[24] += 1
    with without_native_parsers(), pytest.raises(CorruptImage):
        read_header(bytes(data), LIMIT)


def test_the_sizes_to_which_tiles_are_scaled_are_limited() -> None:
    """Their streams are small, and so is the picture."""
    assert read_header(grid_of("RGB", 0, built.size(64, 64)), LIMIT).pixels == 120 * 50
    with without_native_parsers(), pytest.raises(ImageTooLarge):
        read_header(grid_of("RGB", 0, built.size(1001, 1000)), LIMIT)
    with without_native_parsers(), pytest.raises(ImageTooLarge):
        read_header(grid_of("RGB", 0, built.size(100, 64)), 120 * 50)


def test_a_grid_of_another_size_than_its_item_is_corrupt() -> None:
    with without_native_parsers(), pytest.raises(CorruptImage):
        read_header(grid_of("RGB", 0, own_size=(built.size(119, 50),)), LIMIT)


def test_an_avif_longer_than_its_decoder_opens_is_corrupt() -> None:
    at_limit = avif([coded(drawn(), built.size(ImageFormat.AVIF.max_side, 1))])
    assert read_header(at_limit, LIMIT).width == ImageFormat.AVIF.max_side
    with without_native_parsers(), pytest.raises(CorruptImage):
        read_header(avif([coded(drawn(), built.size(ImageFormat.AVIF.max_side + 1, 1))]), LIMIT)


@pytest.mark.parametrize("image_format", PARSERS)
def test_a_decoder_that_finds_another_size_is_not_believed(
    image_format: ImageFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wider:
        """Pillow's parser, with another size."""

        def __new__(cls, file: io.BytesIO) -> Any:
            image = PARSERS[image_format](file)
            image._size = image.width + 1, image.height
            return image

    data = saved(image_format.value.upper(), "RGB")
    assert open_image(data, LIMIT).header.pixels == 33 * 21
    monkeypatch.setitem(opening._NATIVE, image_format, Wider)
    for read in (open_image, decode):
        with pytest.raises(CorruptImage):
            read(data, LIMIT)
