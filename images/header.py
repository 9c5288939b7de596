"""What an encoded image says of itself in its header, read without decoding a pixel.

The format is told by the signature alone, and only that format's parser is ever started: a body
cannot choose a decoder by its name or its declared type. The parser classes are opened directly,
because `PIL.Image.open` warns of large images by its own limits and reads some JPEG files as
multi-picture ones, of which only the first picture counts here.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

from PIL import ExifTags, Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from images.compression import jpeg_quality
from images.compression.jpeg import START_OF_SCAN, segments
from jobs.errors import AnimatedImage, CorruptImage, EmptyBody, ImageTooLarge, UnsupportedImage
from jobs.formats import ImageFormat

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
AVIF_BRANDS = (b"avif", b"avis")
GIF_LOOKED_AT = 1 << 20
"""How much of a GIF is searched for a second frame, only to say what is wrong with it."""
MAX_PNG_CHUNKS = 100_000
"""How many chunks of a PNG are looked at for EXIF; keeps a hostile file from costing time."""

MAX_PNG_PARTS = 4096
"""PNG chunks before the pixels. Real files have tens; a hostile one could have
millions, which Pillow would read for seconds."""

_PARSERS: dict[ImageFormat, type[ImageFile]] = {
    ImageFormat.PNG: PngImageFile,
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
}


@dataclass(frozen=True)
class ImageHeader:
    """The facts of an image that need no decoding. `width` and `height` are in pixels, as the
    image is to be looked at: after `orientation` (EXIF, 1 to 8) is applied."""

    format: ImageFormat
    width: int
    height: int
    orientation: int
    bit_depth: int
    """Bits per sample that are kept: 16 for a PNG of 16 bits, else 8."""
    mode: str
    """Pillow's name of the pixel layout, such as L, P, RGB, RGBA or CMYK."""
    jpeg_quality: float | None = None
    """The quality, 1 to 100, of a JPEG that is as damaged; None where nothing was lost."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(data: bytes, max_pixels: int) -> ImageHeader:
    """Read the header of an encoded image.

    Raises EmptyBody, UnsupportedImage, AnimatedImage, ImageTooLarge (more than `max_pixels`)
    or CorruptImage. Damage beyond the header is found only by decoding.
    """
    image_format = sniff(data)
    _refuse_endless_header(data, image_format)
    image = open_lazily(data, image_format)
    width, height = image.size
    check_pixels(width, height, max_pixels)
    orientation = _orientation(image, data)
    if orientation > 4:
        width, height = height, width
    depth = 16 if image_format is ImageFormat.PNG and data[24:25] == b"\x10" else 8
    quality = jpeg_quality(data, image_format)
    return ImageHeader(image_format, width, height, orientation, depth, image.mode, quality)


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageTooLarge for an image of more than `max_pixels`."""
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {max_pixels} are accepted.",
            max_pixels=max_pixels,
        )


def sniff(data: bytes) -> ImageFormat:
    """Return the format that the signature names.

    Raises EmptyBody, AnimatedImage for an animated GIF, and UnsupportedImage for all else.
    """
    if not data:
        raise EmptyBody
    if data.startswith(PNG_SIGNATURE):
        return ImageFormat.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return ImageFormat.JPEG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _if_built(ImageFormat.WEBP)
    if data[4:8] == b"ftyp" and _is_avif(data):
        return _if_built(ImageFormat.AVIF)
    if data[:6] in (b"GIF87a", b"GIF89a") and _is_animated_gif(data):
        raise AnimatedImage
    raise UnsupportedImage


def open_lazily(data: bytes, image_format: ImageFormat) -> ImageFile:
    """Open an image of a known format without decoding its pixels.

    Raises AnimatedImage, ImageTooLarge and CorruptImage. The caller checks the size before it
    decodes.
    """
    try:
        image = _PARSERS[image_format](io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except Exception as error:  # parsers of foreign bytes raise whatever they stumble over
        raise CorruptImage from error
    if getattr(image, "is_animated", False):
        raise AnimatedImage
    return image


def read_exif(image: ImageFile, data: bytes) -> Image.Exif | None:
    """Return an opened image's EXIF record, None if there is none that can be read."""
    if isinstance(image, PngImageFile) and "Raw profile type exif" not in image.info:
        # Pillow would decode the whole image to look for a chunk behind the pixels.
        image.info.setdefault("exif", _late_png_exif(data))
    try:
        return image.getexif()
    except Exception:  # a damaged record is no reason to refuse the picture
        return None


def _refuse_endless_header(data: bytes, image_format: ImageFormat) -> None:
    if image_format is ImageFormat.PNG and not _png_reaches_pixels(data):
        raise CorruptImage
    if image_format is ImageFormat.JPEG and not _jpeg_reaches_pixels(data):
        raise CorruptImage


def _png_reaches_pixels(data: bytes) -> bool:
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_PNG_PARTS):
        if at + 8 > len(data):
            return False
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IDAT":
            return True
        at += 12 + length
    return False


def _jpeg_reaches_pixels(data: bytes) -> bool:
    return any(marker == START_OF_SCAN for marker, _, _ in segments(data))


def _if_built(image_format: ImageFormat) -> ImageFormat:
    if not features.check(image_format.value):
        raise UnsupportedImage(f"This installation cannot read {image_format.label}.")
    return image_format


def _is_avif(data: bytes) -> bool:
    brands = data[8 : min(struct.unpack(">I", data[:4])[0], 256)]
    return any(brands[at : at + 4] in AVIF_BRANDS for at in range(0, len(brands), 4))


def _is_animated_gif(data: bytes) -> bool:
    try:
        return bool(GifImageFile(io.BytesIO(data[:GIF_LOOKED_AT])).is_animated)
    except Exception:  # unreadable: unsupported all the same
        return False


def _orientation(image: ImageFile, data: bytes) -> int:
    exif = read_exif(image, data)
    try:
        value = exif.get(ExifTags.Base.Orientation, 1) if exif is not None else 1
    except Exception:  # entries are parsed when they are first asked for
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _late_png_exif(data: bytes) -> bytes:
    """Return the content of the eXIf chunk wherever it stands, b"" if there is none."""
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_PNG_CHUNKS):
        if at + 12 > len(data):
            return b""
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length] if kind == b"eXIf" else b""
        if content and data[at + 8 + length : at + 12 + length] == _checksum(kind + content):
            return content
        at += 12 + length
    return b""


def _checksum(chunk: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(chunk))
