"""JPEG XL: files of another encoder (cjxl 0.7), headers read without a decoder, round trips."""

from __future__ import annotations

import base64
import io
import struct
from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from images import jxl
from images.compression import UNREAD_QUALITY
from images.containers.common import Unread
from images.containers.jxl import CODESTREAM, CONTAINER, MAX_HEADER, read_jxl
from images.decode import decode
from images.encode import encode
from images.opening import open_image, read_header
from images.picture import Picture, PictureKind, Raster, Samples
from jobs.errors import AnimatedImage, AnysrError, CorruptImage, ImageTooLarge, UnsupportedImage
from jobs.formats import ImageFormat
from tests.images.test_codec import OTHER, SRGB, grey_profile

pytestmark = pytest.mark.skipif(not jxl.is_built(), reason="no libjxl")
LIMIT = 1_000_000
JXL = ImageFormat.JXL

# cjxl -d 0, of `drawn` with orientation 6
LOSSLESS = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAACDanhsY/8KiSwQUFwSCAIBALQBSyijugX66eD1wXXw"
    "O4UbBQUFBSUZoKAQob77+DHGuJ06biDZSgBggBCgAEEQAGB7GUn3UZBB+dyVlNdyQ1Y4pl55ftSap8ICRiB9izDp"
    "59aoRGMqgHgZ3AQ72nrDyiLiWC1nEvWFgw/wzHL2Aw=="
)
# cjxl -d 1, of the same
LOSSY = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAEvanhsY/8KiSyQUFwSABKIAgBgBF3lEgAAFSqjjBu8"
    "nOv58kOHxbSN6wxttW1hSaLIODZJJ3CYpKBAVlXFqNgYpRiDhUxmrnsnBhRpxsr53YNJh6gPnyRMuXVSD3YQDwSB"
    "GCVgqjBsGehLBig+w7gJfJHECcWf0w2NlBLnR16qEI1J402pGBfLqGMrx4RTpVlmKTMfHyIA9N+vB+s1A6mokAJJ"
    "bSUxb/ImY3IyxrnSsAAAwPADecfAsd6lP6Ci4x4A34HEcovVSARW8aFaOsZ8PqfR+xN5Qnn5MDzVzPLm7YBYIeBt"
    "Eef+eeFW76xsS8u/AGigg6xysue/I0/znk0Plz/mgOJOhMj3bf3AC0sdVuJYKiDPtRIC72L//O4SRU1nsrlED7OB"
    "gYYBgQA="
)
# cjxl, of a JPEG of `drawn` at quality 70
OF_JPEG = base64.b64decode(
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAARanhscAAAAAD/ColAJAAAAeBqYnJkwG0DCIIgtAwI"
    "gFCjQMhVJQAAIOSobMFQnP8TRMYIZZxTCtqPkCHMUgcZZqB0hxqsDxlOPmbAIQcVFjlo2IHto4b+/ZFlDjvuQEPR"
    "/S/GOGOSSzb5ZJRTnpnmmm2+GeechR6a6KKNPhrppKWemuqqrb4a66zFHpvsss0+G+205Z6b7rrtvhvvvAUfnPDC"
    "DT8c8cQjl3xyyiu3/HLMMw9d9NFJL93001FPPXbZZ6e9dttvxz334IUfnvjijT8e+eSjl3566qu3/nrsswc/fPHH"
    "J798889HP33445d/fvrrt/9+/PP/VzBVVQIAIOSobMFQnP8XREIpo6xTisR4QMhm1CDDpDrQUD3YcO4hxwwoyAcN"
    "OeiwAxuLLHPU7/Zhxw2t6I88M/gkw/tfjHHGJZt8Msop01yzzTfjnLPQQxNdtNFHI5201FNTXbXVV2Odtdhjk122"
    "2Wejnbbcc9Ndt91345134IIPTnjhhh+OeOKRSz455ZVbfjnmmYcu+uikl2766ainHrvss9Neu+2345578MIPT3zx"
    "xh+PfPLRSz899dVbfz322Ycv/vjkl2/++einH7/889Nfv/3345//v8APAFQWAAsIgOAAEEpGSUYAAQEAAAEAAQAA"
    "AwAAAYdqeGxwgAAAAeBbAhAA0AUKcgpyCnL+/w4AABgACAABAAAAAACAgCWJRKhezBUAfLeEHgAAJSEFBYXZQWoM"
    "psguyli/HK88X0wDEb0B2jLTeAi3LoxdQHIRRZdT2mmbsu/o4Y1ojOkpLLdQi1Eb69XnQowDADAB4AQQc6y6I0D2"
    "qsDMDG9bAebNYmaAbPXazAxgZmZmZmZmZmZE92ZmZmZmZmZmZmYGoy6Y0o6sMBO7RRTLRjlVEkixw3NB8xVEDEGH"
    "BhCAYfm1EjYAgjFCwZXiEo1c4wKMCnogq9DLiLKrLewh0Fg1M1N0SoGZGWAtJTMzA5iBGJmZmZmZmZmZmZmZmZmZ"
    "mZmZmQEAAAAAABwAJAyFZkARgndMcWaowL6Duo6Mett0+v24AWYiBQUFBS0QDfEWyIpBjY7RMVibnmNQEWMwgDBe"
    "/ggDOUkSOHsKpZOPJWipdtjJj6GqXPRi56Ty6hanfflJa0oNeFh0aFXxJBcld6pf5qGLzWsGSJSoAAzYnwA="
)
# cjxl, of a GIF of two frames
ANIMATED = base64.b64decode(
    "/wpDBAFYUFwSCAgAAACcAUsoMd08q8XDVUJBQUlRQIT8xhgbgxyDE4jBuqilizFoEGEMuRIACCAEEEAQCgCYowck"
    "CaC/ISUqWQAAAHhNhaiqqqr//0r7lV5JJZogvowcYXhHIuFynBNB1EFg/kGDGIPQCYQr9AcICEAAAKwBSyg1ll4c"
    "UkJBQklRAMhvjLExyDE4gRisu0AU1KImToxxVgIAAYQAAghCAQATHeDNJ6RkjUYABukBABDOQ1VVVRUiCIgggAQB"
    "IgiqIJCrASdYOHNIiCb5nTLE5yIbZ8VzAbsU8Lp/hSyllT8="
)


def drawn() -> Samples:
    """The picture of 48 x 40 pixels that the files hold."""
    y, x = np.mgrid[:40, :48]
    return np.stack([x * 5, y * 6, x // 24 * 200], 2).astype(np.uint8)


def oriented(orientation: int) -> bytes:
    """LOSSLESS with another orientation: three bits of its codestream."""
    data = bytearray(LOSSLESS)
    at = data.index(CODESTREAM) + 3
    data[at] = data[at] & ~0x38 | (orientation - 1) << 3
    return bytes(data)


def boxed(stream: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """Return a bare codestream in a container, behind other boxes."""
    parts = ((b"ftyp", b"jxl \0\0\0\0jxl "), *boxes, (b"jxlc", stream))
    return CONTAINER + b"".join(struct.pack(">I", 8 + len(c)) + kind + c for kind, c in parts)


def bare(data: bytes) -> bytes:
    return data[data.index(CODESTREAM) :]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_that_of_the_codestream(orientation: int) -> None:
    header = read_header(oriented(orientation), LIMIT)
    expected = (40, 48) if orientation > 4 else (48, 40)
    assert (header.width, header.height, header.orientation) == (*expected, orientation)
    image = Image.fromarray(drawn())
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert (decode(oriented(orientation), LIMIT).pixels.samples == upright).all()


def test_an_orientation_in_exif_does_not_count() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    data = boxed(bare(oriented(1)), (b"Exif", bytes(4) + exif.tobytes()[6:]))
    assert read_header(data, LIMIT).orientation == 1
    picture = decode(data, LIMIT)
    assert (picture.pixels.samples == drawn()).all()
    back = Image.Exif()
    back.load(picture.metadata.exif)
    assert dict(back) == {0x010F: "Maker"}


def test_the_qualities_of_foreign_files() -> None:
    assert read_header(LOSSLESS, LIMIT).jpeg_quality is None
    assert read_header(LOSSY, LIMIT).jpeg_quality == UNREAD_QUALITY
    assert read_header(OF_JPEG, LIMIT).jpeg_quality == UNREAD_QUALITY


@pytest.mark.parametrize("data", [LOSSY, OF_JPEG], ids=["lossy", "of a JPEG"])
def test_foreign_files_are_decoded(data: bytes) -> None:
    upright = np.rot90(drawn(), -1) if data is LOSSY else drawn()
    samples = decode(data, LIMIT).pixels.samples
    assert samples.shape == upright.shape
    assert np.abs(samples.astype(int) - upright).mean() < 8


@pytest.mark.parametrize("read", [read_header, decode])
def test_an_animation_is_refused(read) -> None:
    with pytest.raises(AnimatedImage):
        read(ANIMATED, LIMIT)


def test_cmyk_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="CMYK"):
        read_header(header_bits(extra=4), LIMIT)


def header_bits(extra: int) -> bytes:
    """A header of 8 x 8 pixels in 8 bits with one extra channel of a type, up to the colours."""
    bits = [1, *low_first(0, 5), *low_first(1, 3), 0, 0, 0, *low_first(0, 2), 1, *low_first(1, 2)]
    bits += [0, *low_first(2, 2), *low_first(extra - 2, 4), 0, *low_first(0, 2), *low_first(0, 2)]
    bits += [*low_first(0, 2), 0, 1]
    bits += [0] * (-len(bits) % 8)
    whole = sum(bit << place for place, bit in enumerate(bits))
    return CODESTREAM + whole.to_bytes(len(bits) // 8, "little")


def low_first(number: int, bits: int) -> list[int]:
    return [number >> place & 1 for place in range(bits)]


SIZES = [
    *((1, 1), (8, 8), (64, 96), (40, 30), (30, 40), (513, 100), (9, 16), (90, 160), (256, 256)),
    *((16, 9), (200, 240), (60, 80), (100, 150), (80, 100), (50, 100), (1, 9000), (9000, 1)),
]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_header_is_read_without_a_decoder(channels: int, kind: type) -> None:
    for height, width in SIZES:
        samples: Samples = np.full((height, width, channels), 99, kind)
        header = read_jxl(encode(Picture(Raster(samples)), JXL))
        assert (header.height, header.width, header.bits) == (height, width, 8 * samples.itemsize)
        assert (header.grey, header.alpha) == (channels < 3, channels in (2, 4))
        assert (header.xyb, header.animated, header.black) == (True, False, False)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_samples_come_back_close(channels: int, kind: type) -> None:
    y, x = np.mgrid[:60, :80]
    planes = np.stack([x / 80, y / 60, x // 40 * 0.8, (x + y) / 140], 2)
    chosen = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    largest = np.iinfo(kind).max
    samples: Samples = np.rint(planes[:, :, chosen] * largest).astype(kind)
    back = decode(encode(Picture(Raster(samples)), JXL), LIMIT)
    assert back.pixels.samples.dtype == kind
    assert back.pixels.samples.shape == samples.shape
    assert back.kind is (PictureKind.GREY if channels < 3 else PictureKind.COLOUR)
    difference = back.pixels.samples.astype(float) - samples
    assert np.sqrt(np.mean(difference**2)) < 0.03 * largest


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_profile_comes_back_with_its_colours(kind: type) -> None:
    """The same samples in sRGB would be far from the originals."""
    y, x = np.mgrid[:64, :96]
    largest = np.iinfo(kind).max
    samples: Samples = (np.stack([x / 96, y / 64, x / 200, (x + y) / 160], 2) * largest).astype(
        kind
    )
    back = decode(encode(Picture(Raster(samples), icc=OTHER), JXL, 98), LIMIT)
    assert back.icc == OTHER
    assert back.pixels.samples.dtype == kind
    error = np.abs(back.pixels.samples.astype(float) - samples).mean() / largest
    assert error < 0.006


def test_srgb_needs_no_profile() -> None:
    picture = Picture(Raster(drawn()), icc=SRGB)
    assert decode(encode(picture, JXL), LIMIT).icc is None


def test_a_grey_profile_is_kept_in_meaning() -> None:
    """Linear grey is a space that JPEG XL names, so the profile is libjxl's own."""
    samples = np.linspace(0, 255, 4000).reshape(50, 80, 1).astype(np.uint8)
    picture = Picture(Raster(samples), PictureKind.GREY, grey_profile())
    back = decode(encode(picture, JXL, 98), LIMIT)
    assert back.icc is not None
    assert ImageCms.ImageCmsProfile(io.BytesIO(back.icc)).profile.xcolor_space.strip() == "GRAY"
    assert np.abs(back.pixels.samples.astype(int) - samples).mean() < 2


def test_a_profile_that_is_none_is_left_out() -> None:
    with_rubbish = encode(Picture(Raster(drawn()), icc=bytes(16) + b"RGB " + bytes(180)), JXL)
    assert with_rubbish == encode(Picture(Raster(drawn())), JXL)


def test_exif_may_be_packed() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    packed = b"Exif" + imagecodecs.brotli_encode(bytes(4) + exif.tobytes()[6:])
    data = boxed(bare(LOSSLESS), (b"brob", packed))
    assert open_image(data, LIMIT).exif == b""
    assert b"Maker" in decode(data, LIMIT).metadata.exif


@pytest.mark.parametrize("content", [imagecodecs.brotli_encode(bytes(50_000_000)), b"rubbish"])
def test_packed_exif_is_bounded(content: bytes) -> None:
    data = boxed(bare(LOSSLESS), (b"brob", b"Exif" + content))
    assert decode(data, LIMIT).metadata.exif == b""


def test_sizes_are_refused_before_decoding() -> None:
    for read in (read_header, decode):
        with pytest.raises(ImageTooLarge):
            read(LOSSLESS, 48 * 40 - 1)
    assert read_header(LOSSLESS, 48 * 40).pixels == 48 * 40


def test_a_header_in_parts_is_read() -> None:
    stream, parts = bare(LOSSLESS), b""
    for number, start in enumerate(range(0, 6, 2)):
        last = start == 4
        content = struct.pack(">I", number | (1 << 31 if last else 0))
        content += stream[start:] if last else stream[start : start + 2]
        parts += struct.pack(">I", 8 + len(content)) + b"jxlp" + content
    data = boxed(b"")[: -len(b"    jxlc")] + parts
    assert read_header(data, LIMIT) == read_header(LOSSLESS, LIMIT)
    assert (decode(data, LIMIT).pixels.samples == np.rot90(drawn(), -1)).all()


def test_higher_quality_is_closer() -> None:
    sizes = [len(encode(Picture(Raster(drawn())), JXL, q)) for q in (1, 30, 60, 90, 99, 100)]
    assert sizes == sorted(sizes)
    assert read_header(encode(Picture(Raster(drawn())), JXL, 100), LIMIT).jpeg_quality is not None


@given(st.binary(max_size=400))
def test_any_header_is_read_or_refused(rest: bytes) -> None:
    for data in (CODESTREAM + rest, CONTAINER + rest, boxed(CODESTREAM + rest)):
        try:
            header = read_jxl(data)
        except Unread:
            continue
        assert header.width > 0
        assert header.height > 0


def test_a_header_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(CorruptImage):
        read_header(CONTAINER + (struct.pack(">I", 8) + b"free") * 5000, LIMIT)
    bits = [1, *low_first(0, 5), *low_first(1, 3), 0, 0, 0, 0, 0, 1, 1, 1]
    many = sum(bit << place for place, bit in enumerate(bits + [1] * 12))
    with pytest.raises(Unread):  # 4096 channels
        read_jxl(CODESTREAM + many.to_bytes(4, "little") + b"\xff" * 2 * MAX_HEADER)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([LOSSLESS, LOSSY, OF_JPEG]),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4),
    st.integers(0, 900),
)
def test_damaged_files_end_in_an_error_of_ours(
    sample: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(sample)
    for at, value in changes:
        data[at % len(data)] = value
    for damaged in (bytes(data), bytes(data[:length])):
        with suppress(AnysrError):
            decode(damaged, LIMIT)


def test_the_memory_of_a_decoder_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames may be larger than the picture whose size the header states."""
    data = encode(Picture(Raster(np.zeros((600, 800, 3), np.uint8))), JXL)
    assert decode(data, LIMIT).width == 800
    monkeypatch.setattr(jxl, "ROOM", 1 << 18)
    monkeypatch.setattr(jxl, "ROOM_A_PIXEL", 0)
    with pytest.raises(CorruptImage):
        decode(data, LIMIT)
