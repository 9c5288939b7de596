"""HEIC by libheif and libde265, through pi-heif, which is read-only and without an encoder's
licence."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np

from images.colour import widened
from images.containers.heic import HeicHeader
from images.picture import Samples
from images.transparency import unmultiplied
from jobs.errors import UnsupportedImage
from jobs.formats import ImageFormat

THREADS = 2
"""More threads take more memory; a worker has few cores."""


@functools.cache
def _library() -> Any:
    """Return pi-heif, None where this installation has none."""
    try:
        import pi_heif
    except ImportError:
        return None
    options = pi_heif.options
    options.DECODE_THREADS = THREADS
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return pi_heif


def reads_heic() -> bool:
    """Load the library; return whether this installation has it."""
    return _library() is not None


def decode_heic(data: bytes, header: HeicHeader) -> tuple[Samples, bytes | None]:
    """Return the samples [H, W] or [H, W, 2..4] of 8 or 16 bits, cropped, turned and mirrored as
    the file states, and its ICC profile.

    Raises UnsupportedImage where pi-heif is missing, and whatever that raises for damaged data.
    """
    library = _library()
    if library is None:
        raise UnsupportedImage(f"This installation cannot read {ImageFormat.HEIC.label}.")
    file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    picture = file[file.primary_index]
    samples = np.asarray(picture)
    if samples.shape[:2] != (header.height, header.width):
        raise ValueError("not the size that the header states")
    if samples.dtype == np.uint16:
        samples = widened(samples, header.bits)
    if picture.premultiplied_alpha:
        samples = unmultiplied(samples)
    icc: bytes | None = picture.info.get("icc_profile")
    return samples, icc
