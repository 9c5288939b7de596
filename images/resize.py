"""The floor of the ladder: Lanczos on a file's own samples, a strip of rows at a time.

Both passes are products with banded matrices. BLAS multiplies them in about half the time that
Pillow takes for 8 bits, and in floats: Pillow rounds and clamps 8 bits between its passes, which
shows beside hard edges, and takes three times as long for floats. Channels stay interleaved, and
no more than a strip of them is ever held as floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from images.grey import is_grey
from images.lanczos import Band, bands
from images.picture import FloatArray, Raster, Samples
from images.transparency import HiddenFill, Mask, hidden_pixels

LARGEST_PRODUCT = 1 << 18
"""Multiplications of one product of matrices: so small ones OpenBLAS leaves to the thread that
calls, and their operands fit a core's own cache."""
MOST_ROWS = 128
"""Input rows of a strip."""
REPORT_PIXELS = 1 << 22
"""Output pixels between two reports of progress: some 50 ms."""

OnPart = Callable[[float], object]
"""Told the part done so far, in (0, 1]; may raise to stop."""


def enlarge(raster: Raster, height: int, width: int, on_part: OnPart) -> Raster:
    """Return a raster of height x width pixels and of the same layout and depth.

    Colours that are hidden are filled first. Channels that are equal wherever they are seen come
    back equal. Raises ValueError where a side would shrink, and what `on_part` raises.
    """
    if height < raster.height or width < raster.width:
        raise ValueError(f"cannot shrink {raster.height} x {raster.width} to {height} x {width}")
    hidden = hidden_pixels(raster)
    made = np.empty((height, width, raster.samples.shape[2]), raster.samples.dtype)
    if raster.colours == 3 and is_grey(raster.samples, hidden):
        # Channels side by side may be summed up in different orders, and equal ones differ by a
        # level. Every third channel is one of grey, and alpha.
        _resample(Raster(raster.samples[:, :, ::3]), hidden, made[:, :, ::3], on_part)
        made[:, :, 1] = made[:, :, 0]
        made[:, :, 2] = made[:, :, 0]
    else:
        _resample(raster, hidden, made, on_part)
    return Raster(made)


def enlarge_alpha(raster: Raster, made: Samples) -> None:
    """Make the alpha of larger samples [Y, X, C] from that of a raster that has one."""
    _resample(Raster(raster.samples[:, :, -1:]), None, made[:, :, -1:], lambda part: None)


def _resample(raster: Raster, hidden: Mask | None, made: Samples, on_part: OnPart) -> None:
    """Write samples [Y, X, C], made from a raster of as many channels."""
    height, width, channels = made.shape
    fill = None if hidden is None else HiddenFill(raster, hidden)
    across = [_Columns.of(band, channels) for band in bands(raster.width, width)]
    largest = max(part.weights.size for part in across)
    reported = 0
    for strip in _strips(bands(raster.height, height), LARGEST_PRODUCT // largest):
        _make_strip(made, _levels(raster, strip, fill), strip, across)
        done = strip[-1].stop
        if (done - reported) * width >= REPORT_PIXELS or done == height:
            on_part(done / height)
            reported = done


@dataclass(frozen=True)
class _Columns:
    """A band of columns, of all channels together."""

    output: slice
    """Its samples in an output row."""
    source: slice
    """The samples of an input row that they are made of."""
    weights: FloatArray
    """[input samples, output samples]; 0 from one channel to another."""

    @classmethod
    def of(cls, band: Band, channels: int) -> _Columns:
        outputs, inputs = band.weights.shape
        weights = np.zeros((inputs, channels, outputs, channels), np.float32)
        for channel in range(channels):
            weights[:, channel, :, channel] = band.weights.T
        return cls(
            slice(band.start * channels, band.stop * channels),
            slice(band.first * channels, band.last * channels),
            weights.reshape(inputs * channels, outputs * channels),
        )


def _strips(down: Iterator[Band], most_rows: int) -> Iterator[list[Band]]:
    """Yield bands of rows that together are made of no more than so many input rows."""
    strip: list[Band] = []
    for band in down:
        if strip and band.last - strip[0].first > min(most_rows, MOST_ROWS):
            yield strip
            strip = []
        strip.append(band)
    yield strip


def _levels(raster: Raster, strip: Sequence[Band], fill: HiddenFill | None) -> FloatArray:
    """Return the samples of the input rows of a strip, [rows, samples], each half a level more:
    weights sum to 1, and what is made of them is rounded by being cut off."""
    first, last = strip[0].first, strip[-1].last
    levels = raster.samples[first:last].astype(np.float32)
    if fill is not None:
        fill.fill(levels, first)
    levels += np.float32(0.5)
    return levels.reshape(last - first, -1)


def _make_strip(
    made: Samples, levels: FloatArray, strip: Sequence[Band], across: Sequence[_Columns]
) -> None:
    """Write the output rows of a strip, from left to right in tiles that stay in the cache."""
    channels = made.shape[2]
    rows = max(band.weights.size for band in strip)
    columns = across[0].weights.shape[1]
    at_once = max(1, LARGEST_PRODUCT // (rows * columns))
    for number in range(0, len(across), at_once):
        tile = across[number : number + at_once]
        output = slice(tile[0].output.start, tile[-1].output.stop)
        wide = np.empty((len(levels), output.stop - output.start), np.float32)
        for part in tile:
            start, stop = part.output.start - output.start, part.output.stop - output.start
            np.matmul(levels[:, part.source], part.weights, out=wide[:, start:stop])
        for band in strip:
            above = band.first - strip[0].first
            made_here = band.weights @ wide[above : above + band.weights.shape[1]]
            np.clip(made_here, 0, np.iinfo(made.dtype).max, out=made_here)
            pixels = slice(output.start // channels, output.stop // channels)
            shape = band.stop - band.start, -1, channels
            made[band.start : band.stop, pixels] = made_here.reshape(shape)
