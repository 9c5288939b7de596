"""The position of each output pixel between the input pixels: exact integers, numpy only.

Both the networks and the serving runtimes take their sampling positions from here, so a tile
of an image and the whole image agree to the last bit on where every output pixel lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


def output_size(size: int, scale: float) -> int:
    """Return the output length of an axis of `size` pixels: round(scale * size), at least 1."""
    return max(1, round(scale * size))


@dataclass(frozen=True)
class AxisGrid:
    """The positions of one axis's output pixels relative to their nearest input pixel.

    offset: float32 [inputs, slots], in input pixels, in [-0.5, 0.5]. Each input pixel is the
        nearest one of at most `slots` consecutive output pixels; a slot that no output pixel
        uses holds 0.5. Pixels beyond the picture are placed as if it continued there.
    index: int64 [outputs], the flat position (input * slots + slot) of each output pixel.
    inverse_scale: inputs / outputs of the whole axis.
    """

    offset: FloatArray
    index: IntArray
    inverse_scale: float


def axis_grid(
    n_in: int,
    n_out: int,
    input_window: tuple[int, int] | None = None,
    output_window: tuple[int, int] | None = None,
) -> AxisGrid:
    """Lay `n_out` output pixels over `n_in` input pixels, pixel areas aligned at both ends.

    The windows ([start, stop), in pixels of the whole axis) cut out a tile: offsets of the
    input pixels in `input_window`, indices (relative to that window) of the output pixels in
    `output_window`. Every output pixel's nearest input pixel must lie in the input window, which
    may begin below 0 and end beyond `n_in`, where the picture is continued; so may the output
    window.

    Raises ValueError for an empty axis, for n_out < n_in, and for windows that do not fit.
    """
    if n_in < 1 or n_out < n_in:
        raise ValueError(f"cannot lay {n_out} output pixels over {n_in} input pixels")
    in_start, in_stop = input_window or (0, n_in)
    out_start, out_stop = output_window or (0, n_out)
    slots = -(-n_out // n_in)
    inputs = np.arange(in_start, in_stop, dtype=np.int64)
    # Output pixel Y has its centre at (Y + 1/2) n_in / n_out input pixels; all in integers.
    first = -((n_in - 2 * inputs * n_out) // (2 * n_in))
    outputs_of = first[:, None] + np.arange(slots)
    position = (2 * outputs_of + 1) * n_in - (2 * inputs[:, None] + 1) * n_out
    offset = np.minimum(position / (2.0 * n_out), 0.5).astype(np.float32)
    outputs = np.arange(out_start, out_stop, dtype=np.int64)
    nearest = (2 * outputs + 1) * n_in // (2 * n_out) - in_start
    if len(outputs) and (nearest[0] < 0 or nearest[-1] >= len(inputs)):
        raise ValueError("an output pixel's nearest input pixel lies outside the input window")
    index = nearest * slots + outputs - first[nearest]
    return AxisGrid(offset=offset, index=index, inverse_scale=n_in / n_out)
