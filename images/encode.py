"""Encoding of pictures, at fast settings: it is part of every latency budget."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from images import jxl
from images.avif import encode_avif
from images.chroma import FULL_COLOUR_QUALITY
from images.colour import to_srgb
from images.jpeg import encode_jpeg
from images.palette import encode_palette_png
from images.picture import Picture, PictureKind, Raster, Sample, rounded, strips
from images.png import encode_png
from images.webp import encode_webp
from jobs.errors import OutputTooLarge, UnsupportedImage
from jobs.formats import ImageFormat

Pixels = NDArray[np.uint8]


def encode(
    picture: Picture,
    image_format: ImageFormat,
    quality: int | None = None,
    lossless: bool = False,
) -> bytes:
    """Encode a picture at a quality from 1 to 100, for lossy formats, or without loss where the
    format can (`jobs.formats`).

    What a format does not keep (`jobs.formats`) is converted: transparency is flattened on white,
    16 bits are rounded to 8. PNG and JPEG of colours without transparency need constant memory
    beside the samples and the file. Raises OutputTooLarge when the format cannot hold a side, and
    UnsupportedImage for a format that this installation cannot write.
    """
    if image_format not in writable_formats():
        raise UnsupportedImage(f"This installation cannot write {image_format.label}.")
    check_sides(image_format, picture.height, picture.width)
    default = image_format.facts.default_quality
    if default is None:
        return _LOSSLESS[image_format](picture)
    if lossless and image_format.facts.can_lossless:
        return _EITHER[image_format](picture, None)
    quality = default if quality is None else quality
    either = _EITHER.get(image_format)
    return _LOSSY[image_format](picture, quality) if either is None else either(picture, quality)


def check_sides(image_format: ImageFormat, height: int, width: int) -> None:
    """Raise OutputTooLarge when the format cannot hold a side."""
    limit = image_format.max_side
    if max(height, width) > limit:
        raise OutputTooLarge(
            f"{image_format.label} holds at most {limit} pixels a side.", max_side=limit
        )


def writable_formats() -> tuple[ImageFormat, ...]:
    """Return the formats that this installation writes; PNG and JPEG are among them."""
    built = {
        ImageFormat.WEBP: features.check("webp"),
        ImageFormat.AVIF: features.check("avif"),
        ImageFormat.JXL: jxl.is_built(),
    }
    return tuple(f for f in ImageFormat if built.get(f, True))


def _png(picture: Picture) -> bytes:
    raster = picture.pixels
    if picture.kind is PictureKind.PALETTE and raster.bit_depth == 8:
        small = encode_palette_png(picture)
        if small is not None:
            return small
    return encode_png(_flat(raster.samples), picture.icc, picture.exif)


def _jpeg(picture: Picture, quality: int) -> bytes:
    samples, full_colour = _flat(_on_white(picture.pixels)), quality >= FULL_COLOUR_QUALITY
    return encode_jpeg(samples, quality, full_colour, picture.icc, picture.exif)


def _webp(picture: Picture, quality: int | None) -> bytes:
    samples, icc = _in_rgb(picture)
    return encode_webp(samples, quality, icc, picture.exif)


def _avif(picture: Picture, quality: int) -> bytes:
    samples, icc = _in_rgb(picture)
    return encode_avif(samples, quality, icc, picture.exif)


def _jxl(picture: Picture, quality: int | None) -> bytes:
    return jxl.encode_jxl(picture.pixels.samples, quality, picture.icc, picture.exif)


_LOSSLESS: dict[ImageFormat, Callable[[Picture], bytes]] = {ImageFormat.PNG: _png}
_LOSSY: dict[ImageFormat, Callable[[Picture, int], bytes]] = {
    ImageFormat.JPEG: _jpeg,
    ImageFormat.AVIF: _avif,
}
_EITHER: dict[ImageFormat, Callable[[Picture, int | None], bytes]] = {
    ImageFormat.WEBP: _webp,
    ImageFormat.JXL: _jxl,
}
"""Formats with loss, and without it for None."""


def _in_rgb(picture: Picture) -> tuple[Pixels, bytes | None]:
    """Return samples [H, W, 3 or 4] of 8 bits and their profile, for formats without grey."""
    samples = picture.pixels.eight_bits()
    if picture.kind is not PictureKind.GREY:
        return samples, picture.icc
    height, width, channels = samples.shape
    coloured = np.empty((height, width, channels + 2), np.uint8)
    for rows in strips(height, width):
        grey = Image.fromarray(samples[rows, :, 0])
        coloured[rows, :, :3] = np.asarray(to_srgb(grey, picture.icc))
        coloured[rows, :, 3:] = samples[rows, :, 1:]
    return coloured, None


def _on_white(raster: Raster) -> Pixels:
    """Return samples [H, W, C] of 8 bits, with transparency flattened on white."""
    if not raster.has_alpha:
        return raster.eight_bits()
    opaque = np.empty((raster.height, raster.width, raster.colours), np.uint8)
    for rows in strips(raster.height, raster.width):
        part = raster.cut(rows)
        if (alpha := part.alpha) is not None:
            flattened = rounded(part.colour * alpha + (1 - alpha), np.uint8)
            opaque[rows] = np.moveaxis(flattened, 0, 2)
    return opaque


def _flat(samples: NDArray[Sample]) -> NDArray[Sample]:
    """Return samples [H, W, C], or [H, W] for one channel."""
    return samples[:, :, 0] if samples.shape[2] == 1 else samples
