"""Encoding of pictures, at fast settings: it is part of every latency budget."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import features

from images import jxl
from images.avif_by_libavif import encode_deep_avif, libavif_found
from images.avif_by_pillow import encode_avif
from images.background_colour import WHITE, Background, colours_grey, levels_of
from images.chroma import FULL_COLOUR_QUALITY
from images.colour import grey_in_srgb
from images.colour_space import SRGB, Cicp, is_hdr
from images.jpeg import encode_jpeg, holds_xmp
from images.jxl_colour import encoding_of
from images.palette import encode_palette_png
from images.picture import Picture, PictureKind, Raster, Sample, rounded, strips
from images.png import encode_png
from images.profiles import profile_of
from images.tiff import encode_tiff
from images.webp import encode_webp
from jobs.errors import OutputTooLarge, UnsupportedImage
from jobs.formats import WRITTEN, ImageFormat

Pixels = NDArray[np.uint8]


def encode(
    picture: Picture,
    image_format: ImageFormat,
    quality: int | None = None,
    lossless: bool = False,
    background: Background = WHITE,
) -> bytes:
    """Encode a picture at a quality from 1 to 100, for lossy formats, or without loss where the
    format can (`jobs.formats`).

    What a format does not keep (`jobs.formats`) is converted: transparency is flattened on the
    background, 16 bits are rounded to 10 or 8. Colours are stated in the format's own way. PNG,
    TIFF and JPEG of colours without transparency need constant memory beside the samples and the
    file. Raises OutputTooLarge when the format cannot hold a side, and UnsupportedImage for a
    format that this installation cannot write, and for colours that it cannot state.
    """
    check_writable(image_format)
    check_sides(image_format, picture.height, picture.width)
    default = image_format.facts.default_quality
    if default is None:
        return _LOSSLESS[image_format](picture)
    if lossless and image_format.facts.can_lossless:
        return _EITHER[image_format](picture, None)
    quality = default if quality is None else quality
    if image_format is ImageFormat.JPEG:
        return _jpeg(picture, quality, background)
    either = _EITHER.get(image_format)
    return _avif(picture, quality) if either is None else either(picture, quality)


def converts_colours(
    picture: Picture, image_format: ImageFormat, background: Background = WHITE
) -> bool:
    """Return whether the file has samples in other colours than the source, which were converted
    while it was decoded or are while it is encoded."""
    facts = image_format.facts
    coloured = not facts.keeps_grey or (not facts.keeps_alpha and colours_grey(picture, background))
    by_profile = picture.pixels.colours == 1 and picture.icc is not None and picture.space is None
    return picture.converted or (by_profile and coloured)


def check_writable(image_format: ImageFormat) -> None:
    """Raise UnsupportedImage for a format that this installation cannot write."""
    if image_format not in writable_formats():
        raise UnsupportedImage(f"This installation cannot write {image_format.label}.")


def check_sides(image_format: ImageFormat, height: int, width: int) -> None:
    """Raise OutputTooLarge when the format cannot hold a side."""
    limit = image_format.max_side
    if max(height, width) > limit:
        raise OutputTooLarge(
            f"{image_format.label} holds at most {limit} pixels a side.", max_side=limit
        )


@functools.cache
def writable_formats() -> tuple[ImageFormat, ...]:
    """Return the formats that this installation writes; PNG and JPEG are among them."""
    built = {
        ImageFormat.WEBP: features.check("webp"),
        ImageFormat.AVIF: features.check("avif"),
        ImageFormat.JXL: jxl.is_built(),
    }
    return tuple(f for f in WRITTEN if built.get(f, True))


def _png(picture: Picture) -> bytes:
    picture, raster = replace(picture, icc=_beside_code_points(picture)), picture.pixels
    if picture.kind is PictureKind.PALETTE and raster.bit_depth == 8:
        small = encode_palette_png(picture)
        if small is not None:
            return small
    return encode_png(_flat(raster.samples), picture.icc, picture.metadata, picture.space)


def _tiff(picture: Picture) -> bytes:
    icc = _profile(picture, grey=picture.pixels.colours == 1)
    return encode_tiff(picture.pixels.samples, icc, picture.metadata)


def _jpeg(picture: Picture, quality: int, background: Background) -> bytes:
    opaque = _flattened(picture, background)
    if opaque.shape[2] == 1 and is_hdr(picture.space):
        opaque = np.repeat(opaque, 3, axis=2)  # profiles of grey have no table for SDR
    icc = _profile(picture, grey=opaque.shape[2] == 1)
    full_colour = quality >= FULL_COLOUR_QUALITY
    metadata = picture.metadata
    if not holds_xmp(metadata.xmp):
        metadata = replace(metadata, xmp=picture.rights.xmp)
    return encode_jpeg(_flat(opaque), quality, full_colour, icc, metadata)


def _webp(picture: Picture, quality: int | None) -> bytes:
    icc = _profile(picture, grey=False)
    samples = _in_rgb(picture, picture.pixels.eight_bits())
    return encode_webp(samples, quality, icc, picture.metadata)


def _avif(picture: Picture, quality: int) -> bytes:
    space = picture.space if isinstance(picture.space, Cicp) else None
    icc = None if space else _profile(picture, grey=False)
    plain = space in (None, SRGB)
    if plain and (picture.pixels.bit_depth == 8 or not libavif_found()):
        samples = _in_rgb(picture, picture.pixels.eight_bits())
        return encode_avif(samples, quality, icc, picture.metadata)
    deep, full_colour = _in_rgb(picture, picture.pixels.samples), quality >= FULL_COLOUR_QUALITY
    return encode_deep_avif(deep, quality, full_colour, space, icc, picture.metadata)


def _jxl(picture: Picture, quality: int | None) -> bytes:
    grey, space = picture.pixels.colours == 1, picture.space
    named = space is not None and encoding_of(space, grey) is not None
    icc = picture.icc if named else _profile(picture, grey)
    return jxl.encode_jxl(picture.pixels.samples, quality, icc, picture.metadata, space)


_LOSSLESS: dict[ImageFormat, Callable[[Picture], bytes]] = {
    ImageFormat.PNG: _png,
    ImageFormat.TIFF: _tiff,
}
_EITHER: dict[ImageFormat, Callable[[Picture, int | None], bytes]] = {
    ImageFormat.WEBP: _webp,
    ImageFormat.JXL: _jxl,
}
"""Formats with loss, and without it for None."""


def _profile(picture: Picture, grey: bool) -> bytes | None:
    """Return the profile of a picture, as grey or in three channels, for formats that state colours
    in no other way: its own where it has one, and None for sRGB. Raises UnsupportedImage for named
    colours that no profile describes."""
    if picture.icc and grey == (picture.pixels.colours == 1):
        return picture.icc
    return None if picture.space is None else profile_of(picture.space, grey)


def _beside_code_points(picture: Picture) -> bytes | None:
    """Return the profile of a PNG: its own or, beside code points, one for the many readers that do
    not know these. None where that cannot be made, and for HDR in grey, whose profiles have no
    table for SDR."""
    grey, space = picture.pixels.colours == 1, picture.space
    if picture.icc or not isinstance(space, Cicp) or (grey and is_hdr(space)):
        return picture.icc
    try:
        return profile_of(space, grey)
    except UnsupportedImage:
        return None


def _in_rgb(picture: Picture, samples: NDArray[Sample]) -> NDArray[Sample]:
    """Return samples [H, W, C] of a picture as RGB [H, W, 3 or 4], for formats without grey: with
    three equal channels, or in sRGB where they have a profile of grey."""
    if picture.kind is not PictureKind.GREY:
        return samples
    height, width, channels = samples.shape
    coloured = np.empty((height, width, channels + 2), samples.dtype)
    icc = picture.icc if picture.space is None else None
    for rows in strips(height, width):
        grey = samples[rows, :, :1]
        coloured[rows, :, :3] = grey if icc is None else grey_in_srgb(grey, icc)
        coloured[rows, :, 3:] = samples[rows, :, 1:]
    return coloured


def _flattened(picture: Picture, background: Background) -> Pixels:
    """Return samples [H, W, C] of 8 bits, with transparency flattened on a colour: three channels
    also of a grey picture if the colour is not grey."""
    raster = picture.pixels
    if not raster.has_alpha:
        return raster.eight_bits()
    behind = levels_of(picture, background)
    opaque = np.empty((raster.height, raster.width, len(behind)), np.uint8)
    for rows in strips(raster.height, raster.width):
        part = raster.cut(rows)
        if part.colours < len(behind):
            part = Raster(_in_rgb(picture, part.samples))
        if (alpha := part.alpha) is not None:
            flattened = rounded(part.colour * alpha + behind * (1 - alpha), np.uint8)
            opaque[rows] = np.moveaxis(flattened, 0, 2)
    return opaque


def _flat(samples: NDArray[Sample]) -> NDArray[Sample]:
    """Return samples [H, W, C], or [H, W] for one channel."""
    return samples[:, :, 0] if samples.shape[2] == 1 else samples
