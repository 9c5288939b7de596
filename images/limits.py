"""Limits on the size of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

JOB_BYTES = 3 << 30
"""Default of `Limits.job_bytes`."""
STRIP_ROWS, STRIP_PIXELS = 64, 1 << 20
"""Most rows and pixels that are converted at a time, so that intermediate floats take little memory
(`images.picture.strips`)."""

SHARP_PIXELS, FULL_COLOUR_PIXELS = 1 << 24, 1 << 26
"""Most pixels of a WebP whose chroma is fitted to the full resolution or that is stored without
loss for it, and of an AVIF whose chroma is kept at it; both take memory."""


@dataclass(frozen=True)
class Limits:
    """The largest pictures that are read and produced, in pixels and in bytes.

    The gateway checks them before a job is queued. Workers check again before decoding, because
    other programs may write to the queue.
    """

    source_pixels: int
    output_pixels: int
    job_bytes: int = JOB_BYTES
    """Memory that making one picture may take (`images.memory`)."""


def fitting_size(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Return the largest (width, height) of about this shape with at most `max_pixels` in all."""
    fitting = max(1, min(max_pixels, math.isqrt(max_pixels * width // height)))
    return fitting, max(1, min(max_pixels // fitting, height * fitting // width))
