"""Frames of an animated PNG of 16 bits, which Pillow reduces to 8: decoded by libpng, and composed
here as the PNG specification says (third edition, 11.3.4.2 and 13.16)."""

from __future__ import annotations

import struct

import numpy as np

from images.containers.apng import Disposal, PngFrame, read_frames
from images.picture import Samples, strips
from images.png import decode_png
from jobs.errors import MISSING_PIXELS, CorruptImage

MOST = 65535
GREY_TYPES = (0, 4)
"""Colour types without colours."""


def decode_deep_apng(data: bytes, frame: int) -> Samples:
    """Return the samples [H, W, 2 or 4] of 16 bits of a frame, counted from 0, composed with those
    before. Raises CorruptImage where it is missing, Unread for a damaged chunk, and what
    `decode_png` raises."""
    width, height = struct.unpack_from(">II", data, 16)
    channels = 2 if data[25] in GREY_TYPES else 4
    canvas = np.zeros((height, width, channels), np.uint16)
    for number, shown in enumerate(read_frames(data)):
        place = canvas[shown.top :, shown.left :][: shown.height, : shown.width]
        # The first frame has nothing before it, so that its place is cleared.
        keeps = shown.disposal is Disposal.PREVIOUS and number > 0 and number < frame
        before = place.copy() if keeps else None
        _show(shown, place)
        if number == frame:
            return canvas
        if before is not None:
            place[:] = before
        elif shown.disposal is not Disposal.NONE:
            place[:] = 0
    raise CorruptImage(MISSING_PIXELS)


def _show(frame: PngFrame, place: Samples) -> None:
    """Lay a frame into its place."""
    samples = decode_png(frame.file)
    for rows in strips(frame.height, frame.width):
        pixels = _with_alpha(samples[rows], place.shape[2])
        place[rows] = _over(pixels, place[rows]) if frame.blended else pixels


def _with_alpha(samples: Samples, channels: int) -> Samples:
    """Return samples [H, W] or [H, W, C] with alpha, which is full where they have none."""
    pixels = samples if samples.ndim == 3 else samples[:, :, None]
    if pixels.shape[2] == channels:
        return pixels
    alpha = np.full((*pixels.shape[:2], 1), MOST, pixels.dtype)
    return np.concatenate([pixels, alpha], axis=2)


def _over(upper: Samples, lower: Samples) -> Samples:
    """Return `upper` over `lower`, both with alpha that colours are not multiplied by.

    Exact but for the last rounding: floats of 64 bits hold every product of three samples."""
    alpha = upper[:, :, -1:].astype(np.float64)
    through = lower[:, :, -1:] * (MOST - alpha)
    total = MOST * alpha + through
    colours = MOST * alpha * upper[:, :, :-1] + through * lower[:, :, :-1]
    colours /= np.where(total == 0, 1, total)
    joined: Samples = np.rint(np.concatenate([colours, total / MOST], axis=2)).astype(np.uint16)
    return joined
