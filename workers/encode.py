"""A picture to encoded bytes. Fast settings: encoding is part of every latency budget."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, features

from jobs.errors import OutputTooLarge, UnsupportedImage
from jobs.job import ImageFormat
from workers.colour import to_srgb
from workers.palette import encode_palette_png
from workers.picture import Picture, PictureKind, Planes, Raster, Samples, strips
from workers.png import encode_png

DEFAULT_QUALITY = 90
PNG_LEVEL = 1
"""zlib's fastest: a sixth of the time of level 6 for some 17 % more bytes."""
WEBP_METHOD = 2
"""Well over twice as fast as Pillow's default of 4, for 2 % more bytes."""
AVIF_SPEED = 9
"""Seven times as fast as Pillow's default of 6, for 12 % more bytes."""
FULL_COLOUR_QUALITY = 90
"""From this quality on JPEG keeps its colour planes at full resolution."""
MAX_JPEG_EXIF = 65_000


def encode(
    picture: Picture,
    image_format: ImageFormat,
    quality: int | None = None,
    png_level: int = PNG_LEVEL,
) -> bytes:
    """Encode a picture: a file's own samples as they are, planes rounded, and clamped to [0, 1].

    JPEG is flattened on white; 16 bits survive in PNG only. `quality` is 1 to 100 and does not
    concern PNG, `png_level` is 0 to 9. Raises OutputTooLarge when the format cannot hold a side,
    and UnsupportedImage for a format that this installation cannot write.
    """
    if image_format not in writable_formats():
        raise UnsupportedImage(f"This installation cannot write {image_format.value.upper()}.")
    check_sides(image_format, picture.height, picture.width)
    if image_format is ImageFormat.PNG:
        return _png(picture, png_level)
    return _LOSSY[image_format](picture, DEFAULT_QUALITY if quality is None else quality)


def check_sides(image_format: ImageFormat, height: int, width: int) -> None:
    """Raise OutputTooLarge when the format cannot hold a side."""
    limit = image_format.max_side
    if max(height, width) > limit:
        raise OutputTooLarge(
            f"{image_format.value.upper()} holds at most {limit} pixels a side.", max_side=limit
        )


def writable_formats() -> tuple[ImageFormat, ...]:
    """Return the formats that this installation of Pillow writes; PNG and JPEG are among them."""
    optional = (ImageFormat.WEBP, ImageFormat.AVIF)
    return tuple(f for f in ImageFormat if f not in optional or features.check(f.value))


def _png(picture: Picture, level: int) -> bytes:
    samples = _samples(picture, picture.bit_depth)
    if picture.kind is PictureKind.PALETTE and samples.dtype == np.uint8:
        small = encode_palette_png(samples, level, picture)
        if small is not None:
            return small
    return encode_png(samples, level, picture.icc, picture.exif)


def _jpeg(picture: Picture, quality: int) -> bytes:
    return _saved(
        Image.fromarray(_flat(_on_white(picture))),
        format="JPEG",
        quality=quality,
        subsampling=0 if quality >= FULL_COLOUR_QUALITY else 2,
        icc_profile=picture.icc,
        exif=picture.exif if len(picture.exif) <= MAX_JPEG_EXIF else b"",
    )


def _webp(picture: Picture, quality: int) -> bytes:
    image, icc = _in_rgb(picture)
    options = {"quality": quality, "method": WEBP_METHOD, "exif": picture.exif}
    return _saved(image, format="WEBP", icc_profile=icc, **options)


def _avif(picture: Picture, quality: int) -> bytes:
    image, icc = _in_rgb(picture)
    options = {"quality": quality, "speed": AVIF_SPEED, "exif": picture.exif}
    return _saved(image, format="AVIF", icc_profile=icc, **options)


_LOSSY: dict[ImageFormat, Callable[[Picture, int], bytes]] = {
    ImageFormat.JPEG: _jpeg,
    ImageFormat.WEBP: _webp,
    ImageFormat.AVIF: _avif,
}


def _in_rgb(picture: Picture) -> tuple[Image.Image, bytes | None]:
    """Return the picture as RGB or RGBA with its profile, for formats that know no grey."""
    image = Image.fromarray(_samples(picture, 8))
    if picture.kind is not PictureKind.GREY:
        return image, picture.icc
    coloured = to_srgb(image.getchannel(0), picture.icc)
    if picture.alpha is not None:
        coloured.putalpha(image.getchannel(1))
    return coloured, None


def _on_white(picture: Picture) -> Samples:
    """Return opaque samples [H, W, C] of 8 bits."""
    if not picture.pixels.has_alpha:
        return picture.pixels.integers(8)
    return np.concatenate([_flattened(picture.pixels.cut(r)) for r in strips(picture.height)])


def _flattened(part: Planes | Raster) -> Samples:
    colour, alpha = part.colour, part.alpha
    return Planes(colour if alpha is None else colour * alpha + (1 - alpha)).integers(8)


def _samples(picture: Picture, depth: int) -> Samples:
    """Return [H, W] or [H, W, C] samples of 8 or 16 bits, alpha last."""
    return _flat(picture.pixels.integers(depth))


def _flat(samples: Samples) -> Samples:
    """Return samples [H, W, C], of one channel as [H, W]."""
    return samples[:, :, 0] if samples.shape[2] == 1 else samples


def _saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
