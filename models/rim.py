"""The rim: by how many input pixels a picture must be continued for flat colours to stay flat.

Networks pad with zeros, which they take for black beyond the picture, so colours at its edge are
wrong. If the picture is continued beyond its edge, the wrong pixels lie outside and are cut off.
The number of pixels that suffices is a property of the trained weights, so it is measured; every
further one costs time. Needs no torch.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.geometry import AxisGrid, axis_grid, output_size

FloatArray = NDArray[np.float32]
Colour = tuple[int, int, int]

RIMS = (0, 2, 4, 6, 8, 12, 16, 24)
"""Candidate rims, smallest first."""
TOLERANCE = 1.5
"""Largest change of a flat colour, in levels of 8 bits before rounding."""
NOT_WORSE = 0.25
"""Least gain of a larger rim, in levels, where no rim keeps a colour within the tolerance."""
SIZE = (40, 48)
"""Height and width of the flat pictures."""
SCALES = (1.5, 2.0, 2.37, 3.0, 4.0)
COLOURS: tuple[Colour, ...] = (
    (250, 240, 10),
    (200, 60, 30),
    (30, 90, 200),
    (0, 255, 255),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
    (64, 64, 64),
    (128, 128, 128),
    (192, 192, 192),
)

Run = Callable[[FloatArray, AxisGrid, AxisGrid], FloatArray]
"""A network at one width: image [1, 3, H, W] in [0, 1], rows, columns -> [1, 3, Y, X]."""


@dataclass(frozen=True)
class Rim:
    """The smallest sufficient rim."""

    pixels: int
    error: float
    """Largest change of a flat colour with it, in levels of 8 bits."""


def find_rim(
    runs: Sequence[Run],
    max_scale: float,
    halo: int | None,
    output_halo: int = 0,
    *,
    scales: Sequence[float] = SCALES,
    colours: Sequence[Colour] = COLOURS,
) -> Rim:
    """Return the smallest rim with which all `runs` leave flat pictures unchanged, at those of the
    `scales` up to `max_scale`; `halo` and `output_halo` as in the catalog.

    It is at most the halo. If a network changes a colour even far from any edge, no rim mends that:
    the rim is then the smallest that is no worse than the largest candidate.
    """
    served = [scale for scale in scales if scale <= max_scale]
    cases = list(itertools.product(runs, colours, served))
    rims = [rim for rim in RIMS if halo is None or rim <= halo]
    error = functools.cache(functools.partial(flat_error, output_halo=output_halo))

    def suffices(rim: int) -> bool:
        return all(
            error(*case, rim) <= TOLERANCE
            or error(*case, rim) <= error(*case, rims[-1]) + NOT_WORSE
            for case in cases
        )

    found = next(rim for rim in rims if suffices(rim))
    return Rim(found, max(error(*case, found) for case in cases))


def flat_error(run: Run, colour: Colour, scale: float, rim: int, output_halo: int = 0) -> float:
    """Return the largest change of a flat picture run with a rim, in levels of 8 bits."""
    beyond = min(rim, output_halo)  # without a rim there is nothing to make them of
    rows, columns = (_axis(n, output_size(n, scale), rim, beyond) for n in SIZE)
    flat = np.array(colour, np.float32)[:, None, None] / np.float32(255)
    shape = tuple(n + 2 * rim for n in SIZE)
    image = np.ascontiguousarray(np.broadcast_to(flat, (3, *shape)))[None]
    inside = slice(beyond, -beyond or None)
    made = np.clip(run(image, rows, columns)[0, :, inside, inside], 0, 1)
    return float(np.abs(made - flat).max() * 255)


def _axis(n_in: int, n_out: int, rim: int, beyond: int) -> AxisGrid:
    return axis_grid(n_in, n_out, (-rim, n_in + rim), (-beyond, n_out + beyond))
