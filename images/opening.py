"""One opening of an encoded image, for the gateway that needs its header and the worker that
decodes it; no pixel is decoded here.

Pillow's parser classes are opened directly: `PIL.Image.open` warns of large images by its own
limits and reads some JPEG files as multi-picture ones, of which only the first picture counts here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from images import exif
from images.compression import jpeg_quality
from images.compression.avif import coded_sizes
from images.containers import jpeg, png
from images.containers.boxes import first_boxes
from images.containers.common import Unread
from images.containers.jxl import read_jxl
from images.exif_place import ExifPlace, exif_place
from images.header import ImageHeader, check_pixels
from images.signature import format_of
from jobs.errors import AnimatedImage, CorruptImage, ImageTooLarge, UnsupportedImage
from jobs.formats import ImageFormat

MOST_CODED = 4
"""The pixels of all pictures that an AVIF holds (colour, transparency, previews, tiles), in units
of what is accepted of a picture."""

_PARSERS: dict[ImageFormat, type[ImageFile]] = {
    ImageFormat.PNG: PngImageFile,
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
}


@dataclass(frozen=True)
class OpenedImage:
    """An image whose header is read and whose pixels are not decoded."""

    header: ImageHeader
    image: ImageFile | None
    """Pillow's; None for JPEG XL, which Pillow does not read."""
    exif: bytes
    """The TIFF record, within the bounds of `images.exif`; b"" if there is none."""


def read_header(data: bytes, max_pixels: int) -> ImageHeader:
    """Read the header of an encoded image. Raises as `open_image`."""
    return open_image(data, max_pixels).header


def open_image(data: bytes, max_pixels: int) -> OpenedImage:
    """Open an encoded image without decoding its pixels.

    Raises EmptyBody, UnsupportedImage, AnimatedImage, ImageTooLarge (more than `max_pixels`, in the
    header or in a coded picture) or CorruptImage. Damage beyond the header is found only by
    decoding.
    """
    image_format = format_of(data)
    try:
        _refuse_endless_header(data, image_format)
        if image_format is ImageFormat.AVIF:
            _check_coded(data, max_pixels)
        place = exif_place(data, image_format)
    except Unread:
        raise CorruptImage from None
    stored = place.record(data)
    record = exif.bounded(stored)
    if image_format is ImageFormat.JXL:
        return OpenedImage(_jxl_header(data, max_pixels), None, record)
    image = _opened(_safe(data, place, record), image_format)
    check_pixels(*image.size, max_pixels)
    if image_format is ImageFormat.PNG and not stored:
        stored = _raw_profile(image)
        record = exif.bounded(stored)
    return OpenedImage(_header(data, image_format, image, stored), image, record)


def _header(data: bytes, image_format: ImageFormat, image: ImageFile, record: bytes) -> ImageHeader:
    width, height = image.size
    if image_format is ImageFormat.AVIF:  # the container's own, which Pillow puts into a record
        record = image.info.get("exif", b"").removeprefix(exif.PREFIX)
    orientation = exif.orientation(record)
    if orientation > 4:
        width, height = height, width
    depth, mode = 8, image.mode
    if image_format is ImageFormat.PNG and data[24:25] == b"\x10":
        depth, mode = 16, "LA" if data[25:26] == b"\x04" else mode  # which Pillow opens as RGBA
    quality, transparent = jpeg_quality(data, image_format), image.has_transparency_data
    return ImageHeader(image_format, width, height, orientation, depth, mode, quality, transparent)


def _jxl_header(data: bytes, max_pixels: int) -> ImageHeader:
    """Read the header of a JPEG XL, without libjxl."""
    try:
        header = read_jxl(data)
    except Unread:
        raise CorruptImage from None
    if header.animated:
        raise AnimatedImage
    if header.black:
        raise UnsupportedImage("A JPEG XL in CMYK cannot be read; send it in RGB.")
    width, height = header.width, header.height
    check_pixels(width, height, max_pixels)
    if header.orientation > 4:
        width, height = height, width
    mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
    depth = 16 if header.bits > 8 else 8
    quality, kind = jpeg_quality(data, ImageFormat.JXL), ImageFormat.JXL
    facts = header.orientation, depth, mode, quality, header.alpha
    return ImageHeader(kind, width, height, *facts)


def _safe(data: bytes, place: ExifPlace, record: bytes) -> bytes:
    """Return the file as decoders may see it: some parse the EXIF record when they open it."""
    return place.hidden(data) if place.names and not exif.is_sound(record) else data


def _opened(data: bytes, image_format: ImageFormat) -> ImageFile:
    try:
        image = _PARSERS[image_format](io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except Exception as error:  # parsers of foreign bytes raise whatever they stumble over
        raise CorruptImage from error
    if getattr(image, "is_animated", False):
        raise AnimatedImage
    return image


def _refuse_endless_header(data: bytes, image_format: ImageFormat) -> None:
    """Raise Unread for a PNG or JPEG whose pixels do not begin within the bounds of a header."""
    if image_format is ImageFormat.PNG and not any(c[0] == b"IDAT" for c in png.chunks(data)):
        raise Unread
    if image_format is ImageFormat.JPEG and not any(
        marker == jpeg.START_OF_SCAN for marker, _, _ in jpeg.segments(data)
    ):
        raise Unread


def _check_coded(data: bytes, max_pixels: int) -> None:
    """Raise ImageTooLarge for an AVIF whose streams hold too many pixels, whatever its container
    claims, AnimatedImage for one with tracks, and Unread."""
    if b"moov" in first_boxes(data, 0, len(data)):
        raise AnimatedImage  # a track, even of one frame, has streams of its own
    sizes = coded_sizes(data)
    for width, height in sizes:
        check_pixels(width, height, max_pixels)
    if sum(width * height for width, height in sizes) > MOST_CODED * max_pixels:
        raise ImageTooLarge(max_pixels=max_pixels)


def _raw_profile(image: ImageFile) -> bytes:
    """Return the EXIF record that some programs write into a text chunk of a PNG, in hexadecimal
    behind two lines."""
    text = image.info.get("Raw profile type exif", "")
    if not isinstance(text, str) or len(text) > 3 * exif.MAX_BYTES:
        return b""
    try:
        return bytes.fromhex("".join(text.split("\n")[3:])).removeprefix(exif.PREFIX)
    except ValueError:
        return b""
