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

from images.alpha_weighting import (
    divided,
    is_even,
    keep_within_neighbours,
    needs_weights,
    premultiplied,
)
from images.grey import is_grey
from images.hidden_pixels import HiddenFill, hidden_pixels
from images.lanczos_weights import Band, bands
from images.picture import FloatArray, Raster, Samples, strips

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

    Hidden colours are filled first, and colours are weighted by alpha. Channels that are equal at
    all visible pixels stay equal. Raises ValueError if a side would shrink, and what `on_part`
    raises.
    """
    if height < raster.height or width < raster.width:
        raise ValueError(f"cannot shrink {raster.height} x {raster.width} to {height} x {width}")
    hidden, weighs = hidden_pixels(raster), needs_weights(raster)
    enlarged = np.empty((height, width, raster.samples.shape[2]), raster.samples.dtype)
    if raster.has_alpha:
        enlarge_alpha(raster, enlarged)
    # BLAS may sum interleaved channels in different orders, so that equal ones differ by a level.
    # Channels 0 and 3 are grey and alpha.
    grey = raster.colours == 3 and is_grey(raster.samples, hidden)
    channels = slice(None, None, 3 if grey else 1)
    source = Raster(raster.samples[:, :, channels])
    fill = None if hidden is None else HiddenFill(source, hidden)
    needed = slice(None if weighs else source.colours)
    larger = enlarged[:, :, channels][:, :, needed]
    _resample(Raster(source.samples[:, :, needed]), fill, larger, on_part, weighs)
    if grey:
        for rows in strips(height, width):  # numpy may copy overlapping operands
            enlarged[rows, :, 1:3] = enlarged[rows, :, :1]
    return Raster(enlarged)


def enlarge_alpha(raster: Raster, enlarged: Samples) -> None:
    """Write the alpha channel of larger samples [Y, X, C], resampled from a raster with alpha."""
    alpha, larger = raster.samples[:, :, -1:], enlarged[:, :, -1:]
    if is_even(alpha):
        larger[:] = alpha[0, 0]
        return
    _resample(Raster(alpha), None, larger, lambda part: None)
    keep_within_neighbours(alpha[:, :, 0], larger[:, :, 0])


def _resample(
    raster: Raster,
    fill: HiddenFill | None,
    enlarged: Samples,
    on_part: OnPart,
    weighs: bool = False,
) -> None:
    """Write the colours of samples [Y, X, C], resampled from a raster with as many channels; if it
    `weighs`, the last one is alpha, which has been written."""
    height, width, channels = enlarged.shape
    across = [_Columns.of(band, channels) for band in bands(raster.width, width)]
    largest = max(part.weights.size for part in across)
    reported = 0
    for strip in _strips(bands(raster.height, height), LARGEST_PRODUCT // largest):
        levels = _levels(raster, strip, fill)
        weighs_strip = weighs and not is_even(_rows(raster, strip).samples[:, :, -1])
        _write_strip(enlarged, levels, strip, across, weighs_strip)
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


def _rows(raster: Raster, strip: Sequence[Band]) -> Raster:
    """Return the input rows of a strip."""
    return raster.cut(slice(strip[0].first, strip[-1].last))


def _levels(raster: Raster, strip: Sequence[Band], fill: HiddenFill | None) -> FloatArray:
    """Return the samples of the input rows of a strip, [rows, columns, C]."""
    levels = _rows(raster, strip).samples.astype(np.float32)
    if fill is not None:
        fill.fill(levels, strip[0].first)
    return levels


def _write_strip(
    enlarged: Samples,
    levels: FloatArray,
    strip: Sequence[Band],
    across: Sequence[_Columns],
    weighs: bool,
) -> None:
    """Write the output rows of a strip of levels [rows, columns, C], left to right in tiles that
    fit the cache; visible colours are weighted by alpha, the last channel, if `weighs`."""
    channels, largest = enlarged.shape[2], np.iinfo(enlarged.dtype).max
    colours, output = Raster(enlarged).colours, slice(strip[0].start, strip[-1].stop)
    weighted = _interleaved(premultiplied(levels, largest)) if weighs else None
    plain = None
    if weighted is None or not enlarged[output, :, -1].all():
        levels += np.float32(0.5)  # weights sum to 1, so truncating the result rounds it
        plain = _interleaved(levels)
    rows = max(band.weights.size for band in strip)
    columns = across[0].weights.shape[1]
    at_once = max(1, LARGEST_PRODUCT // (rows * columns))
    for number in range(0, len(across), at_once):
        tile = across[number : number + at_once]
        wide = None if plain is None else _widened(plain, tile)
        wide_weighted = None if weighted is None else _widened(weighted, tile)
        pixels = slice(tile[0].output.start // channels, tile[-1].output.stop // channels)
        for band in strip:
            place = enlarged[band.start : band.stop, pixels]
            block = None if wide is None else _block(band, strip, wide, channels)
            if wide_weighted is not None:
                products = _block(band, strip, wide_weighted, channels)
                block = _seen(products, place[:, :, -1:], block)
            assert block is not None
            np.clip(block, 0, largest, out=block)
            place[:, :, :colours] = block[:, :, :colours]


def _block(band: Band, strip: Sequence[Band], wide: FloatArray, channels: int) -> FloatArray:
    """Return the output rows of a band, [rows, columns, C], of the rows of its strip."""
    above = band.first - strip[0].first
    block: FloatArray = band.weights @ wide[above : above + band.weights.shape[1]]
    return block.reshape(band.stop - band.start, -1, channels)


def _seen(products: FloatArray, alpha: Samples, plain: FloatArray | None) -> FloatArray:
    """Return the levels of colours, raised by half a level, from weighted products [rows, columns,
    C]; from `plain` levels where the final alpha [rows, columns, 1] hides them."""
    final = alpha.astype(np.float32)
    final /= np.float32(np.iinfo(alpha.dtype).max)
    seen = divided(products[:, :, :-1], products[:, :, -1:], final)
    seen += np.float32(0.5)
    if plain is not None:
        np.copyto(seen, plain[:, :, :-1], where=alpha == 0)
    return seen


def _interleaved(levels: FloatArray) -> FloatArray:
    """Return levels [rows, columns, C] as [rows, samples]."""
    return levels.reshape(len(levels), -1)


def _widened(levels: FloatArray, tile: Sequence[_Columns]) -> FloatArray:
    """Return the rows of levels [rows, samples] resampled across, for neighbouring columns."""
    first = tile[0].output.start
    wide = np.empty((len(levels), tile[-1].output.stop - first), np.float32)
    for part in tile:
        output = slice(part.output.start - first, part.output.stop - first)
        np.matmul(levels[:, part.source], part.weights, out=wide[:, output])
    return wide
