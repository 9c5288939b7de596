"""The bytes of an animation's frames, of each as many as its pixels can need.

What a file states of its frames takes 26 bytes each, so a frame without data counts as nothing,
however large it says that it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from images.containers import png, riff
from images.containers.avif_tracks import read_tracks
from images.containers.gif import read_gif
from jobs.formats import ImageFormat

PIXEL_BYTES = 16
"""Most bytes of a coded pixel: twice four samples of 16 bits, because a coder can make noise a
little larger."""
ANMF_HEAD = 16
"""Bytes of a frame of a WebP before its chunks (RFC 9649, 2.7.1.1)."""

Frames = Iterator[tuple[int, int]]
"""Of each frame its pixels, and the bytes of its data."""


def frame_bytes(data: bytes, image_format: ImageFormat) -> int | None:
    """Return the bytes of all frames; None for a format whose frames are found only by decoding
    them (JPEG XL). Raises Unread."""
    reader = _READERS.get(image_format)
    if reader is None:
        return None
    return sum(min(count, PIXEL_BYTES * pixels) for pixels, count in reader(data))


def _of_png(data: bytes) -> Frames:
    """Yield the frames, and the picture that stands for them where it is none."""
    pixels, count = 0, 0
    for kind, start, end in png.chunks(data):
        if kind in (b"IHDR", b"fcTL"):
            yield pixels, count
            width, height = struct.unpack_from(">II", data, start + 4 * (kind == b"fcTL"))
            pixels, count = width * height, 0
        elif kind in (b"IDAT", b"fdAT"):
            count += end - start
    yield pixels, count


def _of_webp(data: bytes) -> Frames:
    for kind, start, end in riff.chunks(data):
        if kind == b"ANMF" and end - start >= ANMF_HEAD:
            width = 1 + int.from_bytes(data[start + 6 : start + 9], "little")
            height = 1 + int.from_bytes(data[start + 9 : start + 12], "little")
            yield width * height, end - start - ANMF_HEAD


def _of_gif(data: bytes) -> Frames:
    for frame in read_gif(data).frames:
        yield frame.width * frame.height, frame.data.stop - frame.data.start


def _of_avif(data: bytes) -> Frames:
    for track in read_tracks(data):
        for start, end in track.samples:
            yield track.width * track.height, end - start


_READERS: dict[ImageFormat, Callable[[bytes], Frames]] = {
    ImageFormat.PNG: _of_png,
    ImageFormat.WEBP: lambda data: _of_webp(riff.mended(data)),
    ImageFormat.AVIF: _of_avif,
    ImageFormat.GIF: _of_gif,
}
