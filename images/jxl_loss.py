"""How much a JPEG XL of high quality may lose.

libjxl measures loss by what an eye sees from some distance. Fine red and blue are not seen from
there: at quality 90 red and blue stripes of a pixel come back at 24 to 28 dB, at 40 to 44 dB in an
AVIF. Neither another effort nor filters switched off change that. Hence pictures with such colours
lose less, as they do in a WebP (`images.webp`).
"""

from __future__ import annotations

from images.chroma import FEW, FULL_COLOUR_QUALITY, MANY, fine_share
from images.limits import SHARP_PIXELS
from images.picture import Samples

FINE_PART = 0.5
"""Of libjxl's distance, where a part of the picture has fine colours, such as red letters on a
photograph: files then have the size of AVIF's at the same quality."""


def part_of_distance(samples: Samples, quality: int | None) -> float | None:
    """Return the part, over 0 to 1, of libjxl's distance for a quality from 1 to 100 that samples
    [H, W, C] may have; None for no loss, which takes fewer bytes for drawings in pure colours."""
    if quality is None:
        return None
    small = samples.shape[0] * samples.shape[1] <= SHARP_PIXELS
    if quality < FULL_COLOUR_QUALITY or not small or samples.shape[2] < 3:
        return 1.0
    fine = fine_share(samples)
    if fine > MANY:
        return None
    return FINE_PART if fine > FEW else 1.0
