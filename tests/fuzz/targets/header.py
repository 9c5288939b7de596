"""The header of a picture (`images.opening`): read within its bounds, or refused."""

from __future__ import annotations

from functools import partial

from benchmarks.png_checksums import with_checksums
from benchmarks.specimens import refused_specimens, specimens
from images.header import ImageHeader
from images.opening import read_header
from jobs.errors import (
    AnimatedImage,
    CorruptImage,
    EmptyBody,
    ImageTooLarge,
    InvalidRequest,
    UnsupportedImage,
)
from tests.fuzz.target import Target, read_or_refused
from tests.support.moving_pictures import deep_animations

MAX_PIXELS = 1 << 20
REFUSALS = (
    *(EmptyBody, UnsupportedImage, AnimatedImage, ImageTooLarge, CorruptImage, InvalidRequest),
)


def run(data: bytes) -> None:
    """Read the header of a picture, and of the second frame or page of its file."""
    for frame in (None, 1):
        header = read_or_refused(partial(read_header, data, MAX_PIXELS, frame), REFUSALS)
        if header is not None:
            check(header)
            assert frame is None or header.frame == frame


def check(header: ImageHeader) -> None:
    """Assert that a header is within the bounds that its fields document."""
    assert header.width >= 1
    assert header.height >= 1
    assert header.pixels <= MAX_PIXELS
    assert header.orientation in range(1, 9)
    assert header.bit_depth in (8, 16)
    assert header.jpeg_quality is None or 1 <= header.jpeg_quality <= 100


def seeds() -> list[bytes]:
    return [*specimens().values(), *refused_specimens().values(), *deep_animations()]


TARGET = Target(run, seeds, longest=8192, repaired=with_checksums)
