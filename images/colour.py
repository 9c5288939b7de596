"""Colour spaces of ICC profiles, and the conversions of samples that formats require."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

from images.picture import Samples, strips

RGB = "RGB"
GREY = "GRAY"


def profile_space(icc: bytes) -> str:
    """Return the colour space that an ICC profile describes, such as RGB, GRAY or CMYK."""
    return icc[16:20].decode("latin-1").strip()


def fitting(icc: bytes | None, channels: int) -> bytes | None:
    """Return the profile if it can be read and its colour space has this number of channels (1 or
    3), else None: viewers pass over others."""
    space = GREY if channels == 1 else RGB
    return icc if icc and profile_space(icc) == space and _is_readable(icc) else None


def _is_readable(icc: bytes) -> bool:
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (ImageCms.PyCMSError, OSError):
        return False
    return True


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


def grey_in_srgb(grey: Samples, icc: bytes) -> Samples:
    """Return grey samples [H, W, 1] as sRGB [H, W, 3] of the same depth, by their profile or, where
    it cannot be used, with three equal channels."""
    try:
        made: Samples = imagecodecs.cms_transform(
            np.ascontiguousarray(grey[:, :, 0]),
            icc,
            imagecodecs.cms_profile("srgb"),
            colorspace="gray",
            outcolorspace="rgb",
        )
    except imagecodecs.CmsError:
        return np.repeat(grey, 3, axis=2)
    return made


def widened(samples: Samples, bits: int) -> Samples:
    """Return samples [H, W, ...] of `bits` bits, stored in 16, with levels of 16 bits."""
    most = (1 << bits) - 1
    levels = np.rint(np.arange(most + 1) * (65535 / most)).astype(np.uint16)
    made = np.empty(samples.shape, np.uint16)
    for rows in strips(*samples.shape[:2]):
        made[rows] = levels[np.minimum(samples[rows], most)]
    return made


def full_range(samples: Samples) -> Samples:
    """Return samples [H, W, C] whose colours have the narrow range of video (ITU-R BT.2100, table
    9: 16 to 235 in 8 bits) with those of full range; alpha stays as it is."""
    largest = np.iinfo(samples.dtype).max
    unit = (largest + 1) // 256
    stretched = (np.arange(largest + 1) - 16 * unit) * (largest / (219 * unit))
    levels = np.rint(np.clip(stretched, 0, largest)).astype(samples.dtype)
    colours = 1 if samples.shape[2] < 3 else 3
    made = np.array(samples)
    for rows in strips(*samples.shape[:2]):
        made[rows, :, :colours] = levels[samples[rows, :, :colours]]
    return made
