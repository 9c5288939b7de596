"""The header of an encoded image, for the gateway, and its opening, for the worker that decodes it.
One path reads both: what decoders see of a file never decides what its header is.

Native parsers see a file only when it is opened: headers of PNG and JPEG are read by Pillow, in
Python, and all others by our own readers (`images.header_readers`). Pillow's classes are used
directly: `PIL.Image.open` warns of large images by its own limits and reads some JPEG files as
multi-picture ones, of which only the first picture counts here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from images import exif
from images.compression import jpeg_quality
from images.containers import jpeg, png, png_parts, raw_profile, riff
from images.containers.common import Unread
from images.containers.jpeg_frame import read_frame
from images.exif_place import ExifPlace, exif_place
from images.frames import chosen_frame
from images.header import ImageHeader, check_pixels
from images.header_readers import HEADER_READERS, ParsedHeader
from images.signature import format_of
from jobs.errors import (
    AnimatedImage,
    CorruptImage,
    DecodingTooLong,
    ImageTooLarge,
    UnsupportedImage,
)
from jobs.formats import ImageFormat

MOST_SCANS = 20
"""Scans that a JPEG may have, in units of what is accepted of a picture's pixels: encoders make 10,
and 20 of 25 megapixels take some two seconds."""
_IN_PYTHON: dict[ImageFormat, type[ImageFile]] = {
    ImageFormat.PNG: PngImageFile,
    ImageFormat.JPEG: JpegImageFile,
}
_NATIVE: dict[ImageFormat, type[ImageFile]] = {
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.BMP: BmpImageFile,
}
"""Parsers that see a file when it is opened: most hand it to a library."""


@dataclass(frozen=True)
class OpenedImage:
    """An image whose header is read and whose pixels are not decoded."""

    header: ImageHeader
    image: ImageFile | None
    """Pillow's; None for formats with decoders of their own."""
    exif: bytes
    """The TIFF record, within the bounds of `images.exif`; b"" if there is none."""


def read_header(data: bytes, max_pixels: int, frame: int | None = None) -> ImageHeader:
    """Read the header of an encoded image; no native parser sees the file. `frame` names a frame of
    an animated image, or a page of a TIFF, counted from 0.

    Raises EmptyBody, UnsupportedImage, AnimatedImage (several frames, and none is named),
    InvalidRequest (a frame that is not there), ImageTooLarge (more than `max_pixels`, in the header
    or in a coded picture), DecodingTooLong (a JPEG of too many scans) or CorruptImage. Damage
    beyond the header is found only by decoding.
    """
    return _read(_mended(data), max_pixels, frame).header


def open_image(data: bytes, max_pixels: int, frame: int | None = None) -> OpenedImage:
    """Open an encoded image without decoding its pixels.

    Raises as `read_header`, and CorruptImage where the decoder finds another size than the header
    states.
    """
    data = _mended(data)
    read = _read(data, max_pixels, frame)
    if read.header.format not in _NATIVE:
        return OpenedImage(read.header, read.image, read.record)
    safe = _safe(data, read.place, read.record)
    image = _opened(_NATIVE[read.header.format], safe)
    if image.size != read.stored_size:
        raise CorruptImage
    if read.header.frame is not None:
        _seek(image, read.header.frame)
    elif getattr(image, "is_animated", False):
        raise AnimatedImage
    return OpenedImage(read.header, image, read.record)


@dataclass(frozen=True)
class _Read:
    """What is known of a file before any native parser sees it."""

    header: ImageHeader
    stored_size: tuple[int, int]
    """Width and height in pixels before the orientation is applied."""
    place: ExifPlace
    record: bytes
    """The EXIF record, if it is within bounds."""
    image: ImageFile | None = None
    """Pillow's, for formats that it parses in Python."""


def _read(data: bytes, max_pixels: int, frame: int | None) -> _Read:
    image_format = format_of(data)
    try:
        if image_format in _IN_PYTHON:
            _refuse_endless_header(data, image_format)
            _refuse_unread(data, image_format)
            return _parsed(data, image_format, max_pixels, frame)
        stated = HEADER_READERS[image_format](data, max_pixels, frame)
        place = exif_place(data, image_format, stated.frame or 0)
    except Unread:
        raise CorruptImage from None
    stored = place.record(data)
    header = _header(data, image_format, stated, stored)
    return _Read(header, (stated.width, stated.height), place, exif.bounded(stored))


def _mended(data: bytes) -> bytes:
    return riff.mended(data) if format_of(data) is ImageFormat.WEBP else data


def _parsed(data: bytes, image_format: ImageFormat, max_pixels: int, frame: int | None) -> _Read:
    """Read the header of a PNG or JPEG by Pillow. Raises Unread for one of too many parts."""
    place = exif_place(data, image_format)
    stored = place.record(data)
    record = exif.bounded(stored)
    seen = png_parts.head(data) if image_format is ImageFormat.PNG else data
    image = _opened(_IN_PYTHON[image_format], _safe(seen, place, record))
    frames = _frames(image)
    frame = chosen_frame(frame, frames)
    check_pixels(*image.size, max_pixels)
    if image_format is ImageFormat.JPEG:
        _check_scans(data, image.width * image.height, max_pixels)
    if image_format is ImageFormat.PNG and not stored:
        stored = _raw_profile(image)
        record = exif.bounded(stored)
    depth, mode = 8, image.mode
    moving = bool(getattr(image, "is_animated", False))
    if image_format is ImageFormat.PNG and data[24:25] == b"\x10":
        depth, mode = 16, "LA" if data[25:26] == b"\x04" else mode  # which Pillow opens as RGBA
    transparent = moving or _is_transparent(image)
    shown = frame if moving else None
    facts = ParsedHeader(*image.size, mode, transparent, depth, frame=shown)
    header = _header(data, image_format, facts, stored)
    return _Read(header, image.size, place, record, image)


def _header(
    data: bytes, image_format: ImageFormat, stated: ParsedHeader, record: bytes
) -> ImageHeader:
    width, height = stated.width, stated.height
    orientation = stated.orientation or exif.orientation(record)
    if orientation > 4:
        width, height = height, width
    quality = jpeg_quality(data, image_format)
    facts = orientation, stated.bit_depth, stated.mode, quality, stated.transparent, stated.frame
    return ImageHeader(image_format, width, height, *facts)


def _safe(data: bytes, place: ExifPlace, record: bytes) -> bytes:
    """Return the file as decoders may see it: some parse the EXIF record when they open it."""
    return place.hidden(data) if place.names and not exif.is_sound(record) else data


def _opened(parser: type[ImageFile], data: bytes) -> ImageFile:
    try:
        image = parser(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except Exception as error:  # parsers of foreign bytes raise whatever they stumble over
        raise CorruptImage from error
    return image


def _frames(image: ImageFile) -> int:
    """Return the frames of an animation; a picture that stands for it where it is not shown is
    none."""
    count: int = getattr(image, "n_frames", 1) or 1
    return count - bool(getattr(image, "default_image", False))


def _seek(image: ImageFile, frame: int) -> None:
    """Go to a frame, counted from 0, composed with those before. Raises CorruptImage."""
    try:
        image.seek(frame)
    except Exception as error:  # parsers of foreign bytes raise whatever they stumble over
        raise CorruptImage from error


def _refuse_endless_header(data: bytes, image_format: ImageFormat) -> None:
    """Raise Unread for a PNG or JPEG whose pixels do not begin within the bounds of a header."""
    if image_format is ImageFormat.PNG and not any(c[0] == b"IDAT" for c in png.chunks(data)):
        raise Unread
    if image_format is ImageFormat.JPEG and not any(
        marker == jpeg.START_OF_SCAN for marker, _, _ in jpeg.segments(data)
    ):
        raise Unread


def _refuse_unread(data: bytes, image_format: ImageFormat) -> None:
    """Raise UnsupportedImage, with the reason, for a kind of PNG or JPEG that is not read."""
    if image_format is ImageFormat.JPEG:
        reason = read_frame(data).unread
    else:
        critical = png_parts.unknown_critical(data)
        reason = None if critical is None else f"a PNG with the chunk {critical.decode('latin-1')}"
    if reason is not None:
        raise UnsupportedImage(f"This is {reason}, which is not read; save it as an ordinary one.")


def _check_scans(data: bytes, pixels: int, max_pixels: int) -> None:
    """Raise DecodingTooLong for a JPEG of too many progressive scans: each makes the decoder visit
    every block of the picture, and an empty one takes 42 bytes."""
    first = next(at for marker, at, _ in jpeg.segments(data) if marker == jpeg.START_OF_SCAN)
    scans = data.count(bytes((0xFF, jpeg.START_OF_SCAN)), max(0, first - 4))
    if scans * pixels > MOST_SCANS * max_pixels:
        raise DecodingTooLong


def _is_transparent(image: ImageFile) -> bool:
    """Raises CorruptImage for a picture with a palette whose file has none."""
    if image.mode == "P" and image.palette is None:
        raise CorruptImage
    return image.has_transparency_data


def _raw_profile(image: ImageFile) -> bytes:
    """Return the EXIF record that some programs write into a text chunk of a PNG."""
    text = image.info.get(f"{raw_profile.KEYWORD}exif", "")
    if not isinstance(text, str):
        return b""
    return raw_profile.unwrapped(text, exif.MAX_BYTES).removeprefix(exif.PREFIX)
