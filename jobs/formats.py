"""The image formats: one row per format, as plain data. All are read, and most are written.

Command line, error messages, request schema, `GET /models`, page and docs/api.md read this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class FormatFacts:
    """What callers and encoders need to know of one format."""

    label: str
    """The name as people write it."""
    suffixes: tuple[str, ...]
    """File suffixes in lower case, the usual one first."""
    media_type: str
    max_side: int
    """The longest side in pixels that encoder and common decoders accept."""
    written_as: ImageFormat | None = None
    """For a format that is only read: the one in which its pictures are written by default."""
    default_quality: int | None = None
    """On the scale from 1 to 100; None for a lossless format, which has no quality."""
    can_lossless: bool = False
    """Whether a format that has a quality also stores pictures without loss."""
    keeps_grey: bool = False
    """Grey pictures are stored as one plane; else as RGB."""
    keeps_alpha: bool = True
    """Transparency is stored; else pictures are flattened on a background."""
    keeps_16_bits: bool = False
    """Samples of 16 bits are stored; else they are rounded to 8."""
    keeps_10_bits: bool = False
    """Samples of 16 bits are rounded to 10."""
    keeps_icc: bool = True
    keeps_exif: bool = True
    keeps_xmp: bool = True
    keeps_iptc: bool = False
    keeps_texts: bool = False
    """Texts with keywords."""


class ImageFormat(StrEnum):
    """The formats that are read; values are names in the public API. `WRITTEN` has those that are
    written as well."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"
    JXL = "jxl"
    TIFF = "tiff"
    HEIC = "heic"
    GIF = "gif"
    BMP = "bmp"

    @property
    def facts(self) -> FormatFacts:
        return FORMATS[self]

    @property
    def label(self) -> str:
        return self.facts.label

    @property
    def media_type(self) -> str:
        return self.facts.media_type

    @property
    def max_side(self) -> int:
        """The longest side in pixels that the format can hold."""
        return self.facts.max_side

    @property
    def written(self) -> bool:
        """Whether pictures are written in this format."""
        return self.facts.written_as is None

    @property
    def own_output(self) -> ImageFormat:
        """The format of a result that is asked for in none: this one where it is written."""
        return self.facts.written_as or self

    @property
    def lossy(self) -> bool:
        """Whether pictures are encoded with loss, at a quality from 1 to 100."""
        return self.facts.default_quality is not None

    @property
    def can_lossless(self) -> bool:
        """Whether pictures are stored without loss, always or where it is asked for."""
        return self.facts.can_lossless or not self.lossy


DEFAULT_QUALITY = 90

FORMATS: dict[ImageFormat, FormatFacts] = {
    ImageFormat.PNG: FormatFacts(
        label="PNG",
        suffixes=(".png",),
        media_type="image/png",
        max_side=1_000_000,  # libpng's PNG_USER_WIDTH_MAX and PNG_USER_HEIGHT_MAX
        keeps_grey=True,
        keeps_16_bits=True,
        keeps_iptc=True,
        keeps_texts=True,
    ),
    ImageFormat.JPEG: FormatFacts(
        label="JPEG",
        suffixes=(".jpg", ".jpeg"),
        media_type="image/jpeg",
        max_side=65_500,  # libjpeg's JPEG_MAX_DIMENSION
        default_quality=DEFAULT_QUALITY,
        keeps_grey=True,
        keeps_alpha=False,
        keeps_iptc=True,
    ),
    ImageFormat.WEBP: FormatFacts(
        label="WebP",
        suffixes=(".webp",),
        media_type="image/webp",
        max_side=16_382,  # one less than libwebp's: imagecodecs writes no longer side
        default_quality=DEFAULT_QUALITY,
        can_lossless=True,
    ),
    ImageFormat.AVIF: FormatFacts(
        label="AVIF",
        suffixes=(".avif",),
        media_type="image/avif",
        max_side=32_768,  # libavif's AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT
        keeps_10_bits=True,
        default_quality=DEFAULT_QUALITY,
    ),
    ImageFormat.JXL: FormatFacts(
        label="JPEG XL",
        suffixes=(".jxl",),
        media_type="image/jxl",
        max_side=262_144,  # level 5 of ISO/IEC 18181-1, annex M, which all decoders support
        default_quality=DEFAULT_QUALITY,
        can_lossless=True,
        keeps_grey=True,
        keeps_16_bits=True,
    ),
    ImageFormat.TIFF: FormatFacts(
        label="TIFF",
        suffixes=(".tif", ".tiff"),
        media_type="image/tiff",
        max_side=(1 << 31) - 1,  # libtiff counts rows and columns in 32 bits with a sign
        keeps_grey=True,
        keeps_16_bits=True,
        keeps_iptc=True,
    ),
    ImageFormat.HEIC: FormatFacts(
        label="HEIC",
        suffixes=(".heic", ".heif", ".hif"),
        media_type="image/heic",
        max_side=32_768,  # libheif's default limit on an image's size is its square
        written_as=ImageFormat.JPEG,
        default_quality=DEFAULT_QUALITY,
    ),
    ImageFormat.GIF: FormatFacts(
        label="GIF",
        suffixes=(".gif",),
        media_type="image/gif",
        max_side=65_535,  # 16 bits
        written_as=ImageFormat.PNG,
    ),
    ImageFormat.BMP: FormatFacts(
        label="BMP",
        suffixes=(".bmp", ".dib"),
        media_type="image/bmp",
        max_side=(1 << 31) - 1,
        written_as=ImageFormat.PNG,
    ),
}

WRITTEN = tuple(image_format for image_format in ImageFormat if image_format.written)
"""The formats that are written."""
SUFFIXES = {suffix: fmt for fmt, facts in FORMATS.items() for suffix in facts.suffixes}
"""Formats by file suffix."""


def format_of_media_type(media_type: str) -> ImageFormat:
    """Return the format of a media type without parameters. Raises ValueError for another one."""
    for image_format, facts in FORMATS.items():
        if facts.media_type == media_type:
            return image_format
    raise ValueError(f"{media_type} is no format of this service")


def labels(formats: Iterable[ImageFormat] = tuple(ImageFormat), last: str = "or") -> str:
    """Return the names of formats as a list in prose, such as `PNG, JPEG or WebP`."""
    *first, end = (image_format.label for image_format in formats)
    return f"{', '.join(first)} {last} {end}" if first else end


def lossy_labels() -> str:
    """Return the names of the written formats that have a quality, as a list in prose."""
    return labels((image_format for image_format in WRITTEN if image_format.lossy), "and")


def lossless_labels() -> str:
    """Return the names of the formats that have a quality and can do without loss, as a list."""
    return labels((f for f in WRITTEN if f.facts.can_lossless), "and")
