"""GIF: its pixels, its frames as browsers show them, and bounds on the walk through a file."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from images.containers.gif import CLEARED, MAX_BLOCKS, RESTORED
from images.decode import decode
from images.encode import encode
from images.opening import read_header
from images.picture import PictureKind
from jobs.errors import AnimatedImage, CorruptImage, ImageTooLarge, InvalidRequest
from jobs.formats import ImageFormat

LIMIT = 1_000_000
RED, GREEN, BLUE, CLEAR = 0, 1, 2, 3
PALETTE = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9))
COLOURS = {"r": (255, 0, 0, 255), "g": (0, 255, 0, 255), "b": (0, 0, 255, 255), ".": (0, 0, 0, 0)}
LETTERS = {"r": RED, "g": GREEN, "b": BLUE, ".": CLEAR}


def frame(rows: str, at: tuple[int, int] = (0, 0), disposal: int = 0, local: bytes = b"") -> bytes:
    """Return a frame of rows of letters; a dot is transparent. `at` is left and top."""
    lines = rows.split()
    indices = [LETTERS[letter] for letter in "".join(lines)]
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | ("." in rows), 0, CLEAR, 0)
    flags = 0x81 if local else 0
    size = len(lines[0]), len(lines)
    image = struct.pack("<BHHHHB", 0x2C, *at, *size, flags) + local
    return control + image + b"\2" + _codes(indices)


def _codes(indices: list[int]) -> bytes:
    """Return codes of 3 bits, with a clear code before each pixel so that they never grow."""
    codes = [code for index in indices for code in (4, index)] + [5]
    bits = sum(code << 3 * place for place, code in enumerate(codes))
    data = bits.to_bytes(-(-3 * len(codes) // 8), "little")
    blocks = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


def gif(*frames: bytes, size: tuple[int, int] = (3, 2)) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", *size, 0x81, 0, 0) + PALETTE + b"".join(frames) + b";"


def shown(data: bytes, number: int | None = None) -> NDArray[np.uint8]:
    """Return RGB and alpha, [H, W, 4], of what is shown; the header states it."""
    header, picture = read_header(data, LIMIT, number), decode(data, LIMIT, number)
    assert (picture.height, picture.width) == (header.height, header.width)
    assert picture.pixels.has_alpha == header.transparent
    samples = picture.pixels.eight_bits()
    if not header.transparent:
        samples = np.dstack([samples, np.full(samples.shape[:2], 255, np.uint8)])
    return np.where(samples[:, :, 3:] == 0, 0, samples).astype(np.uint8)


def letters(rows: str) -> NDArray[np.uint8]:
    return np.array([[COLOURS[letter] for letter in row] for row in rows.split()], np.uint8)


def by_pillow(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "GIF", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("colours", [2, 16, 256])
def test_a_picture_is_as_pillow_reads_it(colours: int, interlace: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 23, 3), np.uint8)
    data = by_pillow(Image.fromarray(noise).quantize(colours), interlace=interlace)
    with Image.open(io.BytesIO(data)) as image:
        assert (decode(data, LIMIT).pixels.samples == np.asarray(image.convert("RGB"))).all()
    assert decode(data, LIMIT).kind is PictureKind.PALETTE


def test_transparency_and_local_palettes() -> None:
    assert (shown(gif(frame("rg. .br"))) == letters("rg. .br")).all()
    swapped = PALETTE[3:6] + PALETTE[:3] + PALETTE[6:]
    assert (shown(gif(frame("rgb bgr", local=swapped))) == letters("grb brg")).all()


def test_what_no_frame_covers_is_transparent() -> None:
    """Pillow would fill it with a colour."""
    assert (shown(gif(frame("g", at=(1, 1)))) == letters("... .g.")).all()


def test_a_first_frame_beyond_the_screen_is_shown_whole() -> None:
    assert shown(gif(frame("rgbr gggg bbbb"))).shape == (3, 4, 4)


WHOLE = frame("rrr rrr")
SCENES = [
    ("it stays", [WHOLE, frame("g", (1, 0)), frame("b", (2, 1))], "rgr rrb"),
    ("it shows through", [WHOLE, frame("g.g")], "grg rrr"),
    ("it is cleared", [WHOLE, frame("gg", disposal=CLEARED), frame("b", (0, 1))], "..r brr"),
    ("it is undone", [WHOLE, frame("gg", disposal=RESTORED), frame("b", (0, 1))], "rrr brr"),
    ("all is cleared", [frame("rrr rrr", disposal=CLEARED), frame("g")], "g.. ..."),
    ("undone to nothing", [frame("rrr rrr", disposal=RESTORED), frame("g")], "g.. ..."),
    ("covered again", [frame("r", disposal=CLEARED), frame("ggg ggg"), frame("b")], "bgg ggg"),
    ("beyond the screen", [WHOLE, frame("ggg ggg", (2, 1))], "rrr rrg"),
]


@pytest.mark.parametrize(
    ("frames", "expected"), [s[1:] for s in SCENES], ids=[s[0] for s in SCENES]
)
def test_the_last_frame_is_composed(frames: list[bytes], expected: str) -> None:
    data = gif(*frames)
    assert (shown(data, len(frames) - 1) == letters(expected)).all()
    with pytest.raises(AnimatedImage):
        read_header(data, LIMIT)


def test_a_frame_that_is_not_there() -> None:
    with pytest.raises(
        InvalidRequest, match=r"3 frames; frame must be from 0 \(the first\) to 2, got 3"
    ):
        read_header(gif(WHOLE, WHOLE, WHOLE), LIMIT, 3)
    with pytest.raises(InvalidRequest, match="1 frame;"):
        read_header(gif(WHOLE), LIMIT, 1)


def test_a_result_is_a_png_with_a_palette() -> None:
    header = read_header(gif(WHOLE), LIMIT)
    assert header.format.own_output is ImageFormat.PNG
    with Image.open(io.BytesIO(encode(decode(gif(WHOLE), LIMIT), ImageFormat.PNG))) as image:
        assert image.mode == "P"


def test_damage_is_found() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    data = by_pillow(Image.fromarray(noise))
    with pytest.raises(CorruptImage):
        decode(data[:-1000], LIMIT)
    for cut in (b"GIF89a", gif(), gif(WHOLE)[:20], gif(frame("r").replace(b"\1\0\1\0", bytes(4)))):
        with pytest.raises(CorruptImage):
            read_header(cut, LIMIT)


def test_sizes_are_refused_before_decoding() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000"):
        read_header(gif(WHOLE, size=(60_000, 60_000)), LIMIT)
    small = frame("r")
    large = small.replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 60_000, 60_000))
    with pytest.raises(ImageTooLarge):
        read_header(gif(small, large), LIMIT, 1)


def test_a_file_of_too_many_blocks_is_given_up() -> None:
    control, image = frame("r")[:8], struct.pack("<BHHHHBB", 0x2C, 0, 0, 1, 1, 0, 2)
    with pytest.raises(CorruptImage):
        read_header(gif(control, image, b"\1\0"[:1] + b"\0\1" * (MAX_BLOCKS + 1)), LIMIT)
    with pytest.raises(CorruptImage):
        read_header(gif(*[small_comment()] * 5000, WHOLE), LIMIT)


def small_comment() -> bytes:
    return b"\x21\xfe\1a\0"
