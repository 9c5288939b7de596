"""ICC profiles for colour spaces that a file states in another way.

libjxl makes them: with the exact curve, with the code points of H.273 in the tag `cicp`, and for
HDR (PQ, HLG) with a table that maps its light to SDR, for readers that know no HDR. LittleCMS makes
those with an exponent above 1, for which libjxl has no name.
"""

from __future__ import annotations

import functools

import imagecodecs

from images.colour_space import SRGB, SRGB_CHROMATICITIES, Calibration, ColourSpace
from images.jxl import JxlError, made_profile
from images.jxl_colour import encoding_of
from jobs.errors import UnsupportedImage

NO_PROFILE = "The colours of this picture cannot be described by an ICC profile; ask for png."


@functools.lru_cache(64)
def profile_of(space: ColourSpace, grey: bool) -> bytes | None:
    """Return the profile of a colour space, for grey or RGB; None for sRGB, which needs none.

    Raises UnsupportedImage for colours that no profile describes.
    """
    if space == SRGB or (isinstance(space, Calibration) and space.is_srgb):
        return None
    encoding = encoding_of(space, grey)
    try:
        if encoding is not None:
            return made_profile(encoding)
        if isinstance(space, Calibration):
            return _by_exponent(space, grey)
    except (JxlError, imagecodecs.CmsError):
        pass
    raise UnsupportedImage(NO_PROFILE)


def _by_exponent(space: Calibration, grey: bool) -> bytes:
    gamma = 100_000 / (space.gamma or 100_000)
    x, y, *rest = (value / 100_000 for value in space.chromaticities or SRGB_CHROMATICITIES)
    if grey:
        return bytes(imagecodecs.cms_profile("gray", whitepoint=[x, y, 1.0], gamma=gamma))
    points = [value for pair in zip(rest[::2], rest[1::2], strict=True) for value in (*pair, 1.0)]
    made = imagecodecs.cms_profile("rgb", whitepoint=[x, y, 1.0], primaries=points, gamma=gamma)
    return bytes(made)
