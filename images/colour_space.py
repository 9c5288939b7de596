"""What states the colours of a picture where no ICC profile does, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

PQ, HLG = 16, 18
"""Transfer characteristics of HDR (ITU-R BT.2100)."""
PRIMARIES = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
TRANSFERS = frozenset({1, *range(4, 19)})
"""The code points that ITU-T H.273 assigns, but for "unspecified"."""
UNSPECIFIED = 2

_WHITE_LEVELS = {PQ: 0.5806, HLG: 0.75}
"""Where diffuse white, 203 cd/m2, lies in HDR (ITU-R BT.2408-7, table 1)."""


@dataclass(frozen=True)
class Cicp:
    """Colour primaries and transfer characteristics by the code points of ITU-T H.273, tables 2 and
    3. Samples are RGB or grey, of full range."""

    primaries: int
    transfer: int

    @classmethod
    def stated(cls, primaries: int, transfer: int) -> Cicp | None:
        """Return what two code points state. One that is unspecified counts as sRGB's, as in
        libavif; None where both are, or where one is reserved."""
        if primaries == transfer == UNSPECIFIED:
            return None
        primaries = SRGB.primaries if primaries == UNSPECIFIED else primaries
        transfer = SRGB.transfer if transfer == UNSPECIFIED else transfer
        known = primaries in PRIMARIES and transfer in TRANSFERS
        return cls(primaries, transfer) if known else None

    @property
    def white(self) -> float:
        """The level in (0, 1] of the white on which transparency is flattened."""
        return _WHITE_LEVELS.get(self.transfer, 1.0)


SRGB = Cicp(1, 13)

Chromaticities = tuple[int, ...]
"""x and y of white, red, green and blue, in units of 1 / 100,000."""
SRGB_CHROMATICITIES: Chromaticities = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
SRGB_GAMMAS = range(45_000, 46_001)
"""Values of gAMA around 45455 with which encoders mean sRGB."""
NEAR = 500
"""By how much chromaticities of one colour space differ between encoders."""


@dataclass(frozen=True)
class Calibration:
    """What the chunks gAMA and cHRM of a PNG state; one of them may be missing."""

    gamma: int | None = None
    """Exponent of the encoding, in units of 1 / 100,000; that of sRGB's curve where it is None."""
    chromaticities: Chromaticities | None = None
    """Those of sRGB where they are None."""

    @property
    def is_srgb(self) -> bool:
        """Whether readers show such samples as they show sRGB."""
        gamma = self.gamma is None or self.gamma in SRGB_GAMMAS
        found = self.chromaticities or SRGB_CHROMATICITIES
        pairs = zip(found, SRGB_CHROMATICITIES, strict=True)
        return gamma and all(abs(one - other) <= NEAR for one, other in pairs)


ColourSpace = Cicp | Calibration


def is_hdr(space: ColourSpace | None) -> bool:
    """Return whether a colour space is one of HDR."""
    return isinstance(space, Cicp) and space.transfer in (PQ, HLG)


def white_level(space: ColourSpace | None) -> float:
    """Return the level in (0, 1] of white in a colour space."""
    return space.white if isinstance(space, Cicp) else 1.0
