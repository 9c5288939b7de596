"""Colour spaces of ICC profiles, and the conversions that output formats require."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

RGB = "RGB"
GREY = "GRAY"


def profile_space(icc: bytes) -> str:
    """Return the colour space that an ICC profile describes, such as RGB, GRAY or CMYK."""
    return icc[16:20].decode("latin-1").strip()


def fitting(icc: bytes | None, channels: int) -> bytes | None:
    """Return the profile if its colour space has this number of channels (1 or 3), else None."""
    space = GREY if channels == 1 else RGB
    return icc if icc and profile_space(icc) == space else None


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Return an image converted to sRGB by its profile, or by Pillow's own arithmetic without a
    usable one."""
    if not icc:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
