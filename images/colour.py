"""Colour spaces: which one an ICC profile is of, and the conversions that a format forces."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

RGB = "RGB"
GREY = "GRAY"


def profile_space(icc: bytes) -> str:
    """Return the colour space that an ICC profile describes, such as RGB, GRAY or CMYK."""
    return icc[16:20].decode("latin-1").strip()


def fitting(icc: bytes | None, channels: int) -> bytes | None:
    """Return the profile if it describes samples of so many colour channels, else None."""
    space = GREY if channels == 1 else RGB
    return icc if icc and profile_space(icc) == space else None


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Return an image as RGB in sRGB: by its profile, or by plain arithmetic where it has none
    that can be used."""
    if not icc:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")
