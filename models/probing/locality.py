"""How far an input pixel reaches, and by which shifts the output shifts along: by measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from models.adapters.record import MOST_MULTIPLE, Adapter
from models.adapters.values import FloatArray

Enlarge = Callable[[FloatArray], FloatArray]
"""An image [1, 3, H, W] in [0, 1] at the graph's own scale: [1, C, sH, sW]."""

RADII = (16, 32, 64)
"""Input pixels around a changed one that are looked at, until it reaches less far. A network that
reaches further than the last is treated as one that is not local."""
UNCHANGED = 1e-5
"""A change of the output that is no reach, as part of the range: a four-hundredth of a level."""
SAME = 0.25 / 255
"""Largest difference of two runs that count as equal: a quarter of a level of 8 bits."""
CONTEXT = 48
"""Input pixels of context at which tiles of a network that is not local are compared
(`scheduling.tiling`)."""


@dataclass(frozen=True)
class Locality:
    """How a picture may be cut for a graph."""

    halo: int | None
    """Input pixels around a tile that reach its output; None where the graph is not local."""
    multiple: int
    """Windows begin at multiples of it."""
    levels: float
    """Largest difference of two windows beyond the halo, or the context, in levels of 8 bits."""


def find_locality(enlarge: Enlarge, adapter: Adapter, halo: int | None = None) -> Locality:
    """Return how a picture may be cut; the halo may be stated."""
    reach = find_reach(enlarge, adapter) if halo is None else halo
    if reach is not None:
        reach = max(reach, adapter.patching.margin)
        wider = (reach,) if halo is not None else (reach, reach + 4, reach + reach // 2 + 4)
        for wide in wider:
            multiple = adapter.multiple
            while multiple <= MOST_MULTIPLE:
                levels = shift_levels(enlarge, adapter, multiple, wide)
                if levels is not None and levels <= 255 * SAME:
                    return Locality(wide, multiple, levels)
                multiple *= 2
    return Locality(None, adapter.multiple, _seam_levels(enlarge, adapter))


def _seam_levels(enlarge: Enlarge, adapter: Adapter) -> float:
    """Return by how much tiles of a graph that is not local differ where they meet."""
    context = context_of(adapter)
    apart = -(-context // adapter.multiple) * adapter.multiple
    levels = shift_levels(enlarge, adapter, apart, context)
    return 255.0 if levels is None else levels


def context_of(adapter: Adapter) -> int:
    """Return the context of tiles, or of patches of a fixed size, of a graph that is not local."""
    sides = [side for side in (adapter.height, adapter.width) if side]
    within = min(sides, default=4 * CONTEXT) // 4
    return max(min(CONTEXT, within), adapter.patching.margin)


def find_reach(enlarge: Enlarge, adapter: Adapter) -> int | None:
    """Return how many input pixels away a change of one changes the output; None where that is
    further than can be seen."""
    fixed = adapter.height is not None and adapter.width is not None
    for radius in RADII[:1] if fixed else RADII:
        sides = _window(adapter, 2 * radius + 1)
        seen = min(side // 2 for side in sides) - 1
        reach = 0
        for found in _reaches(enlarge, adapter, sides):
            reach = max(reach, found)
            if reach >= seen - 1:  # perhaps further than this picture shows
                break
        else:
            return reach
    return None


def _window(adapter: Adapter, side: int) -> tuple[int, int]:
    """Return the sides of a picture that the graph sees at once."""
    rounded = -(-side // adapter.multiple) * adapter.multiple
    margin = adapter.patching.margin
    return tuple(  # type: ignore[return-value]
        rounded if own is None else own - 2 * margin for own in (adapter.height, adapter.width)
    )


def _reaches(enlarge: Enlarge, adapter: Adapter, sides: tuple[int, int]) -> Iterator[int]:
    """Yield the reach of pixels near the middle of pictures of noise."""
    for seed in (0, 1):
        picture = np.random.default_rng(seed).random((1, 3, *sides), np.float32)
        unchanged = enlarge(picture)
        for phase in sorted({0, 1, adapter.multiple // 2}):
            row, column = (side // 2 + phase for side in sides)
            changed = picture.copy()
            changed[:, :, row, column] = np.round(1 - picture[:, :, row, column])
            difference = np.abs(enlarge(changed) - unchanged).max(axis=(0, 1))
            rows, columns = np.nonzero(difference > UNCHANGED)
            down, across = rows // adapter.scale - row, columns // adapter.scale - column
            yield int(np.maximum(np.abs(down), np.abs(across)).max(initial=0))


def shift_levels(enlarge: Enlarge, adapter: Adapter, shift: int, halo: int) -> float | None:
    """Return the largest difference of two windows that lie `shift` input pixels apart, `halo`
    away from their edges, in levels of 8 bits; None where a fixed size leaves nothing there."""
    sides = _window(adapter, 2 * halo + shift + 16)
    if min(sides) <= 2 * halo + shift:
        return None
    scale = adapter.scale
    whole = _uneven(sides[0] + shift, sides[1] + shift)
    first, second = (
        enlarge(whole[:, :, start : start + sides[0], start : start + sides[1]])
        for start in (0, shift)
    )
    near, far = scale * (halo + shift), scale * halo
    ends = [scale * (side - halo) for side in sides]
    ones = first[:, :, near : ends[0], near : ends[1]]
    others = second[:, :, far : ends[0] - scale * shift, far : ends[1] - scale * shift]
    return float(np.abs(ones - others).max()) * 255


def _uneven(height: int, width: int) -> FloatArray:
    """Return noise [1, 3, height, width] that is dark at the upper left and light at the lower
    right: parts of it have different means."""
    noise = np.random.default_rng(2).random((1, 3, height, width), np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    mixed: FloatArray = 0.5 * noise + 0.25 * (rows / height + columns / width)
    return mixed.astype(np.float32)
