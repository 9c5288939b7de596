"""What a file states of its picture, read by our own bounded readers: no decoder sees the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from images.compression.avif import coded_sizes
from images.containers.avif import Size, read_avif
from images.containers.boxes import first_boxes
from images.containers.common import Unread
from images.containers.jxl import read_jxl
from images.containers.webp import read_webp
from images.header import check_pixels
from jobs.errors import AnimatedImage, ImageTooLarge, UnsupportedImage
from jobs.formats import ImageFormat

MOST_CODED = 4
"""The pixels of all pictures that an AVIF holds (colour, transparency, previews, tiles), in units
of what is accepted of a picture."""


@dataclass(frozen=True)
class Stated:
    """The facts of a picture; sizes are in pixels before the orientation is applied."""

    width: int
    height: int
    mode: str
    transparent: bool
    bit_depth: int = 8
    orientation: int | None = None
    """1 to 8; None where the EXIF record states it."""


def stated_by_webp(data: bytes, max_pixels: int) -> Stated:
    """Read the header of a WebP. Raises Unread, AnimatedImage and ImageTooLarge."""
    header = read_webp(data)
    if header.animated:
        raise AnimatedImage
    check_pixels(header.width, header.height, max_pixels)
    mode = "RGBA" if header.alpha else "RGB"
    return Stated(header.width, header.height, mode, header.alpha)


def stated_by_avif(data: bytes, max_pixels: int) -> Stated:
    """Read the header of an AVIF. Raises Unread, AnimatedImage for a file with tracks, and
    ImageTooLarge, also where a coded picture is too large: in its stream, or in the size to which
    it is scaled."""
    if b"moov" in first_boxes(data, 0, len(data)):
        raise AnimatedImage  # a track, even of one frame, has streams of its own
    _check_coded(coded_sizes(data), max_pixels)
    header = read_avif(data)
    check_pixels(header.width, header.height, max_pixels)
    _check_coded(header.coded, max_pixels)
    if max(header.width, header.height) > ImageFormat.AVIF.max_side:
        raise Unread
    mode = "RGBA" if header.alpha else "L" if header.grey else "RGB"
    depth = 16 if header.bits > 8 else 8
    return Stated(header.width, header.height, mode, header.alpha, depth, header.orientation)


def stated_by_jxl(data: bytes, max_pixels: int) -> Stated:
    """Read the header of a JPEG XL. Raises Unread, AnimatedImage, UnsupportedImage for CMYK, and
    ImageTooLarge."""
    header = read_jxl(data)
    if header.animated:
        raise AnimatedImage
    if header.black:
        raise UnsupportedImage("A JPEG XL in CMYK cannot be read; send it in RGB.")
    check_pixels(header.width, header.height, max_pixels)
    mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
    depth = 16 if header.bits > 8 else 8
    return Stated(header.width, header.height, mode, header.alpha, depth, header.orientation)


def _check_coded(sizes: Sequence[Size], max_pixels: int) -> None:
    for width, height in sizes:
        check_pixels(width, height, max_pixels)
    coded = sum(width * height for width, height in sizes)
    if coded > (most := MOST_CODED * max_pixels):
        raise ImageTooLarge(
            f"The pictures in this file have {coded} pixels; at most {most} in all are accepted. "
            "Save it anew, without previews.",
            max_pixels=max_pixels,
        )
