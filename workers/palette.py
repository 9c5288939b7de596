"""PNG with a palette, for pictures whose colours fit one exactly."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.picture import Picture, Samples

LARGEST = 256
PROBE = 1 << 16
"""Pixels looked at first: most upscaled pictures show too many colours at once."""


def encode_palette_png(samples: Samples, level: int, picture: Picture) -> bytes | None:
    """Write samples [H, W, 3 or 4] with a palette, or return None if 256 colours do not suffice."""
    packed = _packed(samples)
    if len(np.unique(packed.ravel()[:PROBE])) > LARGEST:
        return None
    colours, positions = np.unique(packed, return_inverse=True)
    if len(colours) > LARGEST:
        return None
    table = colours.astype(">u4").view(np.uint8).reshape(-1, 4)
    image = Image.fromarray(positions.reshape(packed.shape).astype(np.uint8))
    image.putpalette(table[:, :3].tobytes())
    buffer = io.BytesIO()
    image.save(
        buffer,
        format="PNG",
        compress_level=level,
        icc_profile=picture.icc,
        exif=picture.exif,
        **({"transparency": table[:, 3].tobytes()} if samples.shape[2] == 4 else {}),
    )
    return buffer.getvalue()


def _packed(samples: Samples) -> NDArray[np.uint32]:
    """Return one number per pixel, [H, W]: red, green, blue and alpha from the highest byte."""
    opaque = np.full((*samples.shape[:2], 4), 255, np.uint8)
    opaque[:, :, : samples.shape[2]] = samples
    return opaque.view(">u4")[:, :, 0].astype(np.uint32)
