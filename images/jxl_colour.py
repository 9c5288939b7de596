"""Colour spaces as libjxl names them (jxl/color_encoding.h)."""

from __future__ import annotations

from images import libjxl
from images.colour_space import SRGB_CHROMATICITIES, Calibration, Chromaticities, Cicp, ColourSpace

RGB_SPACE, GREY_SPACE = 0, 1
D65, CUSTOM, DCI_WHITE = 1, 2, 11
"""White points; CUSTOM is also one of the primaries."""
SRGB_PRIMARIES, BT2100_PRIMARIES, P3_PRIMARIES = 1, 9, 11
GAMMA = 65535
RELATIVE = 1
"""The rendering intent of profiles."""

_D65_WHITE = SRGB_CHROMATICITIES[:2]
_C_WHITE = (31000, 31600)
_P3 = (68000, 32000, 26500, 69000, 15000, 6000)
_SMPTE_C = (63000, 34000, 31000, 59500, 15500, 7000)
CHROMATICITIES: dict[int, Chromaticities] = {
    1: SRGB_CHROMATICITIES,
    4: (*_C_WHITE, 67000, 33000, 21000, 71000, 14000, 8000),
    5: (*_D65_WHITE, 64000, 33000, 29000, 60000, 15000, 6000),
    6: (*_D65_WHITE, *_SMPTE_C),
    7: (*_D65_WHITE, *_SMPTE_C),
    8: (*_C_WHITE, 68100, 31900, 24300, 69200, 14500, 4900),
    9: (*_D65_WHITE, 70800, 29200, 17000, 79700, 13100, 4600),
    11: (31400, 35100, *_P3),
    12: (*_D65_WHITE, *_P3),
    22: (*_D65_WHITE, 63000, 34000, 29500, 60500, 15500, 7700),
}
"""By the code points of ITU-T H.273, table 2. CIE XYZ (10) is missing: no profile states it."""

_TRANSFERS = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), (1, 0.0)),  # one curve between 0 and 1
    4: (GAMMA, 1 / 2.2),
    5: (GAMMA, 1 / 2.8),
    **{same: (same, 0.0) for same in (8, 13, 16, 17, 18)},
}
"""libjxl's transfer function and exponent by the code points of H.273, table 3."""
_NAMED = {(1, D65): 1, (9, D65): 9, (P3_PRIMARIES, D65): 12, (P3_PRIMARIES, DCI_WHITE): 11}
"""Code points of H.273 by libjxl's primaries and white point."""


def encoding_of(space: ColourSpace, grey: bool) -> libjxl.ColorEncoding | None:
    """Return libjxl's name of a colour space, None where it has none: unusual curves, exponents
    above 1, and CIE XYZ."""
    transfer, exponent = _transfer(space)
    if isinstance(space, Calibration):
        chromaticities = space.chromaticities or SRGB_CHROMATICITIES
    else:
        chromaticities = CHROMATICITIES.get(space.primaries, ())
    if not transfer or not chromaticities:
        return None
    encoding = libjxl.ColorEncoding()
    encoding.color_space = GREY_SPACE if grey else RGB_SPACE
    encoding.transfer_function, encoding.gamma = transfer, exponent
    encoding.rendering_intent = RELATIVE
    x, y, *primaries = (value / 100_000 for value in chromaticities)
    encoding.white_point = D65 if chromaticities[:2] == _D65_WHITE else CUSTOM
    encoding.white_point_xy[:] = (x, y)
    encoding.primaries = _primaries(chromaticities)
    encoding.primaries_xy[:] = primaries
    return encoding


def space_of(encoding: libjxl.ColorEncoding) -> Cicp | None:
    """Return the code points of a named colour space, None where they have none for it."""
    grey = encoding.color_space == GREY_SPACE
    if encoding.color_space not in (RGB_SPACE, GREY_SPACE):
        return None
    primaries = _NAMED.get((1 if grey else encoding.primaries, encoding.white_point))
    if primaries is None or encoding.transfer_function == GAMMA:
        return None
    return Cicp.stated(primaries, encoding.transfer_function)


def _transfer(space: ColourSpace) -> tuple[int, float]:
    if isinstance(space, Cicp):
        return _TRANSFERS.get(space.transfer, (0, 0.0))
    if space.gamma is None:
        return _TRANSFERS[13]
    if space.gamma == 100_000:
        return _TRANSFERS[8]
    return (GAMMA, space.gamma / 100_000) if space.gamma < 100_000 else (0, 0.0)


def _primaries(chromaticities: Chromaticities) -> int:
    """Return the name of primaries: files with names are read as code points again."""
    own = chromaticities[2:]
    named = {SRGB_PRIMARIES: 1, BT2100_PRIMARIES: 9, P3_PRIMARIES: 12}
    return next((n for n, code in named.items() if CHROMATICITIES[code][2:] == own), CUSTOM)
