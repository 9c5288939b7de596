"""A foreign graph on a window of any size: continue it, cut it into patches, stitch the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapters.patches import Patch
from models.adapters.record import Adapter
from models.adapters.values import FloatArray, from_graph, to_graph

RunGraph = Callable[[NDArray[Any]], NDArray[Any]]
"""A graph's input [1, C, H, W] -> its output."""


class WrongOutput(Exception):
    """A graph's output has another shape than its record says, or holds NaN or infinity."""


def enlarge(image: FloatArray, adapter: Adapter, run: RunGraph) -> FloatArray:
    """Return an image [1, 3, H, W] in [0, 1] at the graph's own scale: [1, 3 or 1, sH, sW], red,
    green and blue or luma, not clamped. Raises WrongOutput, and whatever `run` raises.

    Pixels beyond the image mirror it.
    """
    height, width = image.shape[2:]
    rows, columns = adapter.patching.rows(height), adapter.patching.columns(width)
    values = to_graph(image, adapter)
    whole = len(rows) == len(columns) == 1 and not adapter.crop
    if whole and (rows[0].length, columns[0].length) == (height, width):
        return from_graph(_checked(run(values), values.shape, adapter), adapter)
    scale = adapter.scale
    larger = np.empty((1, values.shape[1], scale * height, scale * width), np.float32)
    for row in rows:
        for column in columns:
            seen = _seen(values, row, column)
            made = from_graph(_checked(run(seen), seen.shape, adapter), adapter)
            place = larger[:, :, _kept(row, scale), _kept(column, scale)]
            place[:] = made[:, :, _taken(row, adapter), _taken(column, adapter)]
    return larger


def _seen(values: NDArray[Any], row: Patch, column: Patch) -> NDArray[Any]:
    """Return what the graph sees of a window: a patch, mirrored beyond the window."""
    inside, beyond = [], []
    for patch, length in zip((row, column), values.shape[2:], strict=True):
        start, stop = max(0, patch.start), min(length, patch.stop)
        inside.append(slice(start, stop))
        beyond.append((start - patch.start, patch.stop - stop))
    part = values[:, :, inside[0], inside[1]]
    return np.pad(part, ((0, 0), (0, 0), *beyond), mode="symmetric")


def _kept(patch: Patch, scale: int) -> slice:
    """Return the place of a patch's own output in that of the window."""
    return slice(scale * patch.keep[0], scale * patch.keep[1])


def _taken(patch: Patch, adapter: Adapter) -> slice:
    """Return the place of a patch's own output in what the graph made of it."""
    first = adapter.scale * patch.start + adapter.crop
    return slice(adapter.scale * patch.keep[0] - first, adapter.scale * patch.keep[1] - first)


def _checked(made: NDArray[Any], seen: tuple[int, ...], adapter: Adapter) -> NDArray[Any]:
    sides = tuple(adapter.scale * side - 2 * adapter.crop for side in seen[2:])
    if made.shape != (1, adapter.colours.channels, *sides):
        raise WrongOutput(
            f"the graph made {list(made.shape)} of {list(seen)}, not the size of x{adapter.scale}"
        )
    if not np.isfinite(made).all():
        raise WrongOutput("the graph made NaN or infinity of a picture")
    return made
