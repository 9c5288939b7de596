"""The most bytes that the file of a picture may have: far more than its pixels can need.

A file takes time and memory of gateway, queue and decoder by its bytes, while a job is planned by
its pixels. Profiles, metadata and the film behind a photograph have their place, but no file of
64 x 64 pixels needs 30 MB.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from images.containers import png
from images.containers.bmp import read_bmp
from images.containers.common import Unread
from images.containers.jpeg_frame import read_frame
from images.containers.jxl import read_jxl
from images.containers.tiff import all_pixels
from images.containers.webp import stated_size
from images.frame_bytes import PIXEL_BYTES, frame_bytes
from images.header import ImageHeader
from images.signature import format_of
from jobs.errors import BodyTooLarge, EmptyBody, UnsupportedImage
from jobs.formats import ImageFormat

SPARE_BYTES = 8 << 20
"""For all that is not pixels. No smaller file is too large."""


def most_file_bytes(pixels: int) -> int:
    """Return the most bytes of a file whose pictures have so many pixels together."""
    return SPARE_BYTES + PIXEL_BYTES * pixels


def check_file_bytes(count: int, pixels: int) -> None:
    """Raise BodyTooLarge for a file of `count` bytes, or more, that has too few pixels for them."""
    if count > (most := most_file_bytes(pixels)):
        raise _too_large(count, f"the {pixels} pixels in it", most)


def check_whole_file(data: bytes, header: ImageHeader) -> None:
    """Raise BodyTooLarge for a whole file, with its header, that has too few pixels for its bytes,
    or too few bytes in its frames."""
    if len(data) <= SPARE_BYTES:
        return
    try:
        if header.frame is None:
            check_file_bytes(len(data), header.pixels)
        elif header.format is ImageFormat.TIFF:
            check_file_bytes(len(data), all_pixels(data))
        else:
            _check_frames(data, header.format)
    except Unread:  # other pages than the one that was read are damaged
        check_file_bytes(len(data), header.pixels)


def _check_frames(data: bytes, image_format: ImageFormat) -> None:
    in_frames = frame_bytes(data, image_format)
    if in_frames is not None and len(data) > (most := SPARE_BYTES + in_frames):
        raise _too_large(len(data), f"its frames of {in_frames} bytes", most)


def _too_large(count: int, content: str, most: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"A file of {count} bytes is too large for {content}; at most {most} are accepted. Save "
        "the picture anew, without what does not belong to it.",
        max_body_bytes=most,
    )


def front_pixels(front: bytes) -> int | None:
    """Return the pixels of a file of one picture by its beginning; None where that does not tell
    them, or more pictures may follow."""
    try:
        reader = _FRONT_READERS.get(format_of(front))
        return None if reader is None else reader(front)
    except (Unread, UnsupportedImage, EmptyBody):
        return None


def _png_front(front: bytes) -> int | None:
    for kind, _, _ in png.chunks(front):
        if kind == b"acTL":  # an animation
            return None
        if kind == b"IDAT":
            width, height = struct.unpack_from(">II", front, len(png.SIGNATURE) + 8)
            return int(width * height)
    return None


def _jpeg_front(front: bytes) -> int:
    frame = read_frame(front)
    return frame.width * frame.height


def _webp_front(front: bytes) -> int | None:
    size = stated_size(front)
    return None if size is None else size[0] * size[1]


def _bmp_front(front: bytes) -> int:
    header = read_bmp(front)
    return header.width * header.height


def _jxl_front(front: bytes) -> int | None:
    header = read_jxl(front)
    return None if header.animated else header.width * header.height


_FRONT_READERS: dict[ImageFormat, Callable[[bytes], int | None]] = {
    ImageFormat.PNG: _png_front,
    ImageFormat.JPEG: _jpeg_front,
    ImageFormat.WEBP: _webp_front,
    ImageFormat.BMP: _bmp_front,
    ImageFormat.JXL: _jxl_front,
}
"""Formats that state the size of their picture, and that it is the only one, before its pixels."""
