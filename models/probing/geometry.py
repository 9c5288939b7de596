"""Scale, crop, and the sides that a graph accepts: by running pictures of various sizes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapters.record import LARGEST_SCALE
from models.probing.ports import Ports
from models.probing.refusal import NotServable

Run = Callable[[NDArray[Any]], NDArray[Any]]
"""The graph: its input [1, C, H, W] -> its output. May raise anything."""

MULTIPLES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64)
FACTORS = (1, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43)
"""Sides are these times the multiple: with two neighbours of them, no larger multiple fits."""
LEAST = 40
"""Pixels of the smaller side: more than what known networks crop."""


@dataclass(frozen=True)
class Geometry:
    """The sizes of a graph: an input side n becomes scale n - 2 crop."""

    multiple: int
    scale: int
    crop: int


def find_geometry(run: Run, ports: Ports, scale: int | None = None) -> Geometry:
    """Return the sizes of a graph, whose scale may be stated. Raises NotServable."""
    fixed = ports.height is not None and ports.width is not None
    reason = ""
    for multiple in (1,) if fixed else MULTIPLES:
        pairs, failure = _pairs(run, ports, multiple)
        found = _solved(pairs, scale) if pairs else None
        if found is not None:
            return Geometry(multiple, *found)
        reason = reason or failure or _described(pairs)
    wanted = f"x{scale}" if scale else f"a whole scale from 2 to {LARGEST_SCALE}"
    raise NotServable(f"Its outputs have no size of {wanted}: {reason}.")


def _pairs(run: Run, ports: Ports, multiple: int) -> tuple[list[tuple[int, int]], str]:
    """Return the input and output sides of some pictures, and why there are none."""
    pairs: list[tuple[int, int]] = []
    for height, width in _sizes(ports, multiple):
        picture = np.random.default_rng(0).random((1, ports.channels, height, width))
        try:
            made = run(picture.astype(np.float16 if ports.half else np.float32))
        except Exception as error:  # engines raise various errors
            line = " ".join(str(error).split())
            return [], f"of {height} x {width} pixels it makes none ({line[-160:]})"
        if made.ndim != 4 or made.shape[:2] != (1, ports.channels):
            return [], f"of {[1, ports.channels, height, width]} it makes {list(made.shape)}"
        pairs += [(height, made.shape[2]), (width, made.shape[3])]
    return pairs, ""


def _sizes(ports: Ports, multiple: int) -> Iterator[tuple[int, int]]:
    first = next(n for n, factor in enumerate(FACTORS) if factor * multiple >= LEAST)
    sides = FACTORS[first] * multiple, FACTORS[first + 1] * multiple
    seen = dict.fromkeys(
        (ports.height or height, ports.width or width)
        for height, width in itertools.permutations(sides)
    )
    yield from seen


def _solved(pairs: list[tuple[int, int]], wanted: int | None) -> tuple[int, int] | None:
    """Return the scale and the crop of all pairs of sides, None if they have none in common."""
    (low, of_low), (high, of_high) = min(pairs), max(pairs)
    if wanted is not None:
        scales = [wanted]
    elif low != high:
        scales = [(of_high - of_low) // (high - low)]
    else:
        scales = [-(-of_low // low)]
    for scale in scales:
        twice = scale * low - of_low
        fits = all(made == scale * side - twice for side, made in pairs)
        if 2 <= scale <= LARGEST_SCALE and twice >= 0 and twice % 2 == 0 and fits:
            return scale, twice // 2
    return None


def _described(pairs: list[tuple[int, int]]) -> str:
    (height, made_height), (width, made_width) = pairs[:2]
    return f"of {height} x {width} pixels it makes {made_height} x {made_width}"
