"""The floor of the ladder: Lanczos on integer samples, a strip of rows at a time.

Both passes are products with banded matrices. BLAS computes them in float32 in about half the time
of Pillow's 8-bit resampling, which rounds and clamps between its passes and so shows errors beside
hard edges; Pillow's float resampling takes three times as long as its 8-bit one. Channels stay
interleaved, and only one strip at a time is held as floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from images.grey import is_grey
from images.lanczos_weights import Band, bands
from images.picture import FloatArray, Raster, Samples, strips
from images.transparency import HiddenFill, Mask, hidden_pixels

LARGEST_PRODUCT = 1 << 18
"""Multiplications in one matrix product: OpenBLAS runs products this small on the calling thread,
and their operands fit a core's cache."""
MOST_ROWS = 128
"""Input rows of a strip."""
REPORT_PIXELS = 1 << 22
"""Output pixels between two progress reports: about 50 ms."""

OnPart = Callable[[float], object]
"""Called with the part done so far, in (0, 1]; may raise to stop."""


def enlarge(raster: Raster, height: int, width: int, on_part: OnPart) -> Raster:
    """Return a raster resampled to height x width pixels, of the same layout and depth.

    Hidden colours are filled first. Channels that are equal at all visible pixels stay equal.
    Raises ValueError if a side would shrink, and what `on_part` raises.
    """
    if height < raster.height or width < raster.width:
        raise ValueError(f"cannot shrink {raster.height} x {raster.width} to {height} x {width}")
    hidden = hidden_pixels(raster)
    enlarged = np.empty((height, width, raster.samples.shape[2]), raster.samples.dtype)
    if raster.colours == 3 and is_grey(raster.samples, hidden):
        # BLAS may sum interleaved channels in different orders, so that equal ones differ by a
        # level. Channels 0 and 3 are grey and alpha.
        _resample(Raster(raster.samples[:, :, ::3]), hidden, enlarged[:, :, ::3], on_part)
        for rows in strips(height, width):  # numpy may copy overlapping operands
            enlarged[rows, :, 1:3] = enlarged[rows, :, :1]
    else:
        _resample(raster, hidden, enlarged, on_part)
    return Raster(enlarged)


def enlarge_alpha(raster: Raster, enlarged: Samples) -> None:
    """Write the alpha channel of larger samples [Y, X, C], resampled from a raster with alpha."""
    _resample(Raster(raster.samples[:, :, -1:]), None, enlarged[:, :, -1:], lambda part: None)


def _resample(raster: Raster, hidden: Mask | None, enlarged: Samples, on_part: OnPart) -> None:
    """Write samples [Y, X, C], resampled from a raster with the same number of channels."""
    height, width, channels = enlarged.shape
    fill = None if hidden is None else HiddenFill(raster, hidden)
    across = [_Columns.of(band, channels) for band in bands(raster.width, width)]
    largest = max(part.weights.size for part in across)
    reported = 0
    for strip in _strips(bands(raster.height, height), LARGEST_PRODUCT // largest):
        _write_strip(enlarged, _levels(raster, strip, fill), strip, across)
        done = strip[-1].stop
        if (done - reported) * width >= REPORT_PIXELS or done == height:
            on_part(done / height)
            reported = done


@dataclass(frozen=True)
class _Columns:
    """A band of columns with all channels interleaved."""

    output: slice
    """The band's samples in an output row."""
    source: slice
    """The samples of an input row that contribute to them."""
    weights: FloatArray
    """[input samples, output samples]; 0 between different channels."""

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
    """Yield groups of bands that together read at most `most_rows` input rows, or one band."""
    strip: list[Band] = []
    for band in down:
        if strip and band.last - strip[0].first > min(most_rows, MOST_ROWS):
            yield strip
            strip = []
        strip.append(band)
    yield strip


def _levels(raster: Raster, strip: Sequence[Band], fill: HiddenFill | None) -> FloatArray:
    """Return the samples of the input rows of a strip, [rows, samples], raised by half a level:
    weights sum to 1, so truncating the result rounds it."""
    first, last = strip[0].first, strip[-1].last
    levels = raster.samples[first:last].astype(np.float32)
    if fill is not None:
        fill.fill(levels, first)
    levels += np.float32(0.5)
    return levels.reshape(last - first, -1)


def _write_strip(
    enlarged: Samples, levels: FloatArray, strip: Sequence[Band], across: Sequence[_Columns]
) -> None:
    """Write the output rows of a strip, left to right in tiles that fit the cache."""
    channels = enlarged.shape[2]
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
            block = band.weights @ wide[above : above + band.weights.shape[1]]
            np.clip(block, 0, np.iinfo(enlarged.dtype).max, out=block)
            pixels = slice(output.start // channels, output.stop // channels)
            shape = band.stop - band.start, -1, channels
            enlarged[band.start : band.stop, pixels] = block.reshape(shape)
