"""The frames of an animated PNG, each as a PNG of its own (PNG third edition, 11.3.4)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from images.containers.common import Unread
from images.containers.png import SIGNATURE, chunks, is_intact
from images.containers.png_parts import DECODED, END, PIXELS, chunk

CONTROL, MORE_PIXELS = b"fcTL", b"fdAT"
CONTROL_BYTES, NUMBER_BYTES = 26, 4
"""Of a frame's control chunk, and of the number before the pixels of a chunk."""


class Disposal(IntEnum):
    """What becomes of a frame's place before the next one."""

    NONE = 0
    BACKGROUND = 1
    PREVIOUS = 2


@dataclass(frozen=True)
class PngFrame:
    """A frame within the picture of its animation; sizes and places are in pixels."""

    width: int
    height: int
    left: int
    top: int
    disposal: Disposal
    blended: bool
    """Whether it is laid over what is there, by its transparency, instead of replacing it."""
    file: bytes
    """Its pixels, as a PNG."""


def read_frames(data: bytes) -> Iterator[PngFrame]:
    """Yield the frames; the picture that stands for an animation where it is not shown is none.

    Raises Unread for a damaged chunk, and for a frame that is empty or reaches outside.
    """
    head, shared, control, pixels = b"", b"", None, list[memoryview]()
    for kind, content in _contents(data):
        if kind == b"IHDR":
            head = bytes(content)
        elif kind in (PIXELS, MORE_PIXELS):
            pixels.append(content[NUMBER_BYTES * (kind == MORE_PIXELS) :])
        elif kind != CONTROL:
            shared += chunk(kind, bytes(content))
        else:
            if control is not None:
                yield _frame(head, shared, control, pixels)
            control, pixels = bytes(content), []
    if control is not None:
        yield _frame(head, shared, control, pixels)


def _contents(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of the chunks that make the frames, up to the end, which may be
    missing."""
    for kind, start, end in chunks(data):
        if kind == END:
            return
        if kind in DECODED | {CONTROL, MORE_PIXELS}:
            if not is_intact(data, start, end):
                raise Unread
            yield kind, memoryview(data)[start:end]


def _frame(head: bytes, shared: bytes, control: bytes, pixels: list[memoryview]) -> PngFrame:
    if len(control) != CONTROL_BYTES:
        raise Unread
    _, width, height, left, top, _, _, disposal, blending = struct.unpack(">5I2H2B", control)
    all_width, all_height = struct.unpack_from(">II", head)
    inside = left + width <= all_width and top + height <= all_height
    if not (inside and width and height) or disposal not in iter(Disposal):
        raise Unread
    front = SIGNATURE + chunk(b"IHDR", control[4:12] + head[8:]) + shared
    file = b"".join([front, *_pixel_chunk(pixels), chunk(END, b"")])
    return PngFrame(width, height, left, top, Disposal(disposal), blending == 1, file)


def _pixel_chunk(pixels: list[memoryview]) -> Iterator[bytes | memoryview]:
    """Yield the parts of one chunk with all pixels: these are copied once, by who joins them."""
    checksum = zlib.crc32(PIXELS)
    yield struct.pack(">I4s", sum(map(len, pixels)), PIXELS)
    for part in pixels:
        checksum = zlib.crc32(part, checksum)
        yield part
    yield struct.pack(">I", checksum)
