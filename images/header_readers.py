"""What a file states of its picture, read by our own bounded readers: no decoder sees the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from images.compression.avif import coded_sizes, frame_sizes
from images.containers.avif import read_avif
from images.containers.avif_tracks import read_tracks
from images.containers.bmp import read_bmp
from images.containers.boxes import first_boxes
from images.containers.common import Unread
from images.containers.gif import read_gif
from images.containers.heic import read_heic
from images.containers.heif_picture import Size
from images.containers.jxl import read_jxl
from images.containers.tiff import PALETTE, read_tiff
from images.containers.webp import read_webp
from images.frames import chosen_frame, chosen_page
from images.header import check_pixels
from jobs.errors import AnimatedImage, ImageTooLarge, UnsupportedImage
from jobs.formats import ImageFormat

MOST_CODED = 4
"""The pixels of all pictures that an AVIF holds (colour, transparency, previews, tiles), in units
of what is accepted of a picture."""


_TIFF_ADVICE = "save it in RGB or grey of 8 or 16 bits, uncompressed or with LZW or Deflate"
_NO_FRAMES = "Frames of an animated {} are not read; send a single frame."


@dataclass(frozen=True)
class ParsedHeader:
    """The facts of a picture; sizes are in pixels before the orientation is applied."""

    width: int
    height: int
    mode: str
    transparent: bool
    bit_depth: int = 8
    orientation: int | None = None
    """1 to 8; None where the EXIF record states it."""
    frame: int | None = None
    """Which frame or page it is, counted from 0; None for the only picture of a format that holds
    no more."""


def _read_webp_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of a WebP. Raises Unread, what `chosen_frame` raises, and ImageTooLarge."""
    header = read_webp(data)
    frame = chosen_frame(frame, header.frames)
    check_pixels(header.width, header.height, max_pixels)
    mode = "RGBA" if header.alpha else "RGB"
    moving = frame if header.animated else None
    return ParsedHeader(header.width, header.height, mode, header.alpha, frame=moving)


def _read_avif_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of an AVIF. Raises Unread, what `chosen_frame` raises, and ImageTooLarge,
    also where a coded picture is too large: in its stream, or in the size to which it is scaled."""
    if b"moov" in first_boxes(data, 0, len(data)):
        return _read_tracks_header(data, max_pixels, frame)
    chosen_frame(frame, 1)
    _check_coded(coded_sizes(data), max_pixels)
    header = read_avif(data)
    check_pixels(header.width, header.height, max_pixels)
    _check_coded(header.coded, max_pixels)
    if max(header.width, header.height) > ImageFormat.AVIF.max_side:
        raise Unread
    mode = "RGBA" if header.alpha else "L" if header.grey else "RGB"
    depth = 16 if header.bits > 8 else 8
    return ParsedHeader(header.width, header.height, mode, header.alpha, depth, header.orientation)


def _read_tracks_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of an animated AVIF. A track, even of one
    frame, has streams of its own, so one is always to be named."""
    if frame is None:
        raise AnimatedImage
    colours, *others = read_tracks(data)
    frame = chosen_frame(frame, len(colours.samples))
    for track in (colours, *others):
        check_pixels(track.width, track.height, max_pixels)
        _check_each(frame_sizes(data, track.samples[: frame + 1]), max_pixels)
    alpha = any(track.auxiliary for track in others)
    mode = "RGBA" if alpha else "RGB"
    depth = 16 if colours.bits > 8 else 8
    size = colours.width, colours.height
    return ParsedHeader(*size, mode, alpha, depth, orientation=1, frame=frame)


def _read_jxl_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of a JPEG XL. Raises Unread, AnimatedImage, UnsupportedImage for CMYK, and
    ImageTooLarge."""
    header = read_jxl(data)
    if header.animated and frame is None:
        raise AnimatedImage
    if not header.animated:
        chosen_frame(frame, 1)
    if header.black:
        raise UnsupportedImage("A JPEG XL in CMYK cannot be read; send it in RGB.")
    check_pixels(header.width, header.height, max_pixels)
    mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
    depth = 16 if header.bits > 8 else 8
    moving = frame if header.animated else None  # their number is known once all are decoded
    facts = mode, header.alpha, depth, header.orientation, moving
    return ParsedHeader(header.width, header.height, *facts)


def _read_heic_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of a HEIC. Raises Unread, AnimatedImage for a file with tracks, and
    ImageTooLarge, also where a coded picture is too large."""
    if b"moov" in first_boxes(data, 0, len(data)):
        raise AnimatedImage(_NO_FRAMES.format(ImageFormat.HEIC.label))
    chosen_frame(frame, 1)
    header = read_heic(data)
    check_pixels(header.width, header.height, max_pixels)
    _check_coded(header.coded, max_pixels)
    mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
    depth = 16 if header.bits > 8 else 8
    return ParsedHeader(header.width, header.height, mode, header.alpha, depth, orientation=1)


def _read_tiff_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of a page of a TIFF. Raises Unread, UnsupportedImage for a kind that is not
    read, InvalidRequest for a page that is not there, and ImageTooLarge, also for tiles that are
    far larger than the picture."""
    header = read_tiff(data, frame or 0)
    page = chosen_page(frame, header.pages)
    _refuse_unread(header.unread, "a TIFF", _TIFF_ADVICE)
    check_pixels(header.width, header.height, max_pixels)
    _check_coded([header.coded] * (1 + header.separate), max_pixels)
    mode = ("L" if header.colours == 1 else "RGB") + ("A" if header.alpha else "")
    mode = "P" if header.photometric == PALETTE else mode
    depth = 16 if header.bits == 16 else 8
    facts = mode, bool(header.alpha), depth, header.orientation, page
    return ParsedHeader(header.width, header.height, *facts)


def _read_gif_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of a GIF. Raises Unread, what `chosen_frame` raises, and ImageTooLarge, also
    for a frame that is larger than the screen."""
    header = read_gif(data)
    frame = chosen_frame(frame, len(header.frames))
    check_pixels(header.width, header.height, max_pixels)
    for shown in header.frames[: frame + 1]:
        check_pixels(shown.width, shown.height, max_pixels)
    transparent = header.is_transparent(frame)
    return ParsedHeader(header.width, header.height, "P", transparent, frame=frame)


def _read_bmp_header(data: bytes, max_pixels: int, frame: int | None) -> ParsedHeader:
    """Read the header of a BMP. Raises Unread, UnsupportedImage for a kind that is not read, and
    ImageTooLarge."""
    header = read_bmp(data)
    chosen_frame(frame, 1)
    _refuse_unread(header.unread, "a BMP", "save it in 24 bits, or as PNG")
    check_pixels(header.width, header.height, max_pixels)
    mode = "P" if header.bits <= 8 else "RGBA" if header.alpha else "RGB"
    return ParsedHeader(header.width, header.height, mode, header.alpha)


HEADER_READERS: dict[ImageFormat, Callable[[bytes, int, int | None], ParsedHeader]] = {
    ImageFormat.WEBP: _read_webp_header,
    ImageFormat.AVIF: _read_avif_header,
    ImageFormat.JXL: _read_jxl_header,
    ImageFormat.TIFF: _read_tiff_header,
    ImageFormat.HEIC: _read_heic_header,
    ImageFormat.GIF: _read_gif_header,
    ImageFormat.BMP: _read_bmp_header,
}
"""Readers of a file's facts, of at most so many pixels, of a frame or page."""


def _refuse_unread(reason: str | None, file: str, advice: str) -> None:
    if reason is not None:
        raise UnsupportedImage(f"This is {file} {reason}, which is not read; {advice}.")


def _check_each(sizes: Sequence[Size], max_pixels: int) -> None:
    for width, height in sizes:
        check_pixels(width, height, max_pixels)


def _check_coded(sizes: Sequence[Size], max_pixels: int) -> None:
    _check_each(sizes, max_pixels)
    coded = sum(width * height for width, height in sizes)
    if coded > (most := MOST_CODED * max_pixels):
        raise ImageTooLarge(
            f"The pictures in this file have {coded} pixels; at most {most} in all are accepted. "
            "Save it anew, without previews.",
            max_pixels=max_pixels,
        )
