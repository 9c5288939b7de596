"""Strength: the damage of a picture, from 0 (clean) to 1 (JPEG at quality 30). Needs no torch.

Networks that take a strength are trained on inputs damaged to it, and the service computes the same
number from a picture's header, so both use one scale.
"""

from __future__ import annotations

import math

WORST_QUALITY = 30
"""The JPEG quality whose strength is 1; lower qualities count as this one."""


def strength_of_quality(quality: float) -> float:
    """Return the strength of a JPEG of a quality from 1 to 100.

    It is the root of the quantisation steps, as parts of those at `WORST_QUALITY`: nearly linear in
    the error in dB, and 0 at quality 100.
    """
    return min(1.0, math.sqrt(_percent(quality) / _percent(WORST_QUALITY)))


def quality_of_strength(strength: float) -> int:
    """Return the JPEG quality, from `WORST_QUALITY` to 100, whose strength is nearest to one from
    0 to 1."""
    percent = strength**2 * _percent(WORST_QUALITY)
    return round(5000 / percent if percent > 100 else (200 - percent) / 2)


def _percent(quality: float) -> float:
    """Return by how much the Independent JPEG Group's library scales the standard tables."""
    return 5000 / quality if quality < 50 else 200 - 2 * quality
