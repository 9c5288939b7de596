"""The memory that making a picture takes, by its header, its larger size and its output format.

Gateways refuse a job by it before it is queued, and workers before it is decoded. Every figure is
an upper bound of what Linux reports (VmHWM) for the worst content, noise at quality 100; pictures
that compress well take less, by what their files are smaller. `tests/workers/test_memory_need.py`
holds the bounds against measurements, docs/reliability.md has a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from images.header import ImageHeader
from images.limits import FULL_COLOUR_PIXELS, SHARP_PIXELS, STRIP_PIXELS, STRIP_ROWS
from jobs.errors import ImageTooLarge, OutputTooLarge
from jobs.formats import WRITTEN, ImageFormat

MOST_PIXEL_BYTES, MOST_SIDE_BYTES = 160, 2000
"""Upper bound of any stage, per output pixel and per pixel of both sides of the output."""
MOST_SAMPLE_BYTES = 8
"""Of a pixel: RGB and alpha of 16 bits."""
WORKSPACE_BYTES = 16 << 20
"""Of any picture: matrices and products of resampling, compression state, and what the allocator
does not reuse."""
STRIP_BYTES = 56
"""Per pixel of a strip: floats of four channels, and what they are computed and rounded in."""
ALPHA_STRIP_BYTES = 72
"""The same while colours and alpha are interpolated together."""
PALETTE_STRIP_BYTES = 80
"""The same while the colours of a picture from a palette are counted."""
FLOOR_ROWS, FLOOR_BYTES = 128, 8
"""Source rows that resampling holds as floats, and bytes of each sample of these."""
SIDE_BYTES, MATRIX_BYTES = 400, 90
"""Weights of resampling: per pixel of the output's sides, and its matrices per column and squared
number of channels. They weigh only in pictures of extreme shapes."""
FILL_BYTES = 8
"""Per source pixel with transparency: colours and weights at half the size, and a mask."""

PILLOW_BYTES = 4
"""Per pixel in Pillow, colour or not."""
_DECODERS = {ImageFormat.WEBP: 12, ImageFormat.AVIF: 16}
DEEP_AVIF_DECODER_BYTES = 12
JXL_DECODER_BYTES = 17
"""Per source pixel: planes, coefficients and copies inside a decoder, beside the samples. An AVIF
of 8 bits takes 5."""
TIFF_SAMPLE_PART, TIFF_BYTES = 2.5, 3
"""Of the samples, and per source pixel: samples that are dropped, planes, and colours that are
multiplied by transparency."""
HEIC_SAMPLE_PART, HEIC_BYTES = 4, 3
"""Of the samples, and per source pixel: planes, what libheif makes of them, and copies."""
GIF_BYTES = 15
"""Per source pixel: the screen, one that is put by, and a frame in places of a palette and in
colours."""
FRAMES_BYTES = 16
"""Per source pixel of an animated WebP or AVIF of 8 bits: frames that others are coded by, and the
screen."""
JPEG_COEFFICIENT_BYTES = 2
"""Per sample of a progressive JPEG, whose coefficients are held until the last scan."""

WEBP_BYTES, WEBP_ALPHA_BYTES, WEBP_LOSSLESS_BYTES = 8.7, 34, 28.5
"""Per output pixel: planes and file, and the lossless coder of the alpha channel or of all."""
AVIF_FULL_BYTES = 7
"""More per output pixel where chroma is kept at full resolution."""
AVIF_BYTES, AVIF_ALPHA_BYTES, DEEP_AVIF_BYTES = 27.5, 32, 56
"""Per output pixel, planes, coding state and file; of 10 bits, with and without transparency."""
JXL_GROUP_PIXELS, JXL_GROUP_BYTES = 2048 * 2048, 52
"""libjxl encodes by groups of so many pixels, and holds floats of one group."""
JXL_LOSSLESS_PART, JXL_LOSSLESS_DEEP_PART = 3, 4.2
"""Of the samples of 8 and 16 bits: copies and file."""
JPEG_FILE_BYTES = 1.5
"""Per colour sample of the largest files."""
PNG_FILE_PART, TIFF_FILE_PART = 1.02, 1.3
"""The largest files, as part of the samples; the buffer of a TIFF grows by an eighth."""


@dataclass(frozen=True)
class StageBytes:
    """Most bytes that one picture takes at each stage, beside what a worker holds at rest and the
    encoded source."""

    decoding: int
    enlarging: int
    """By plain resampling; the tile of a network is added to it."""
    encoding: int

    def peak(self, tile_bytes: int = 0) -> int:
        """Return the bytes at the largest stage, with a network's working memory for a tile."""
        return max(self.decoding, self.enlarging + tile_bytes, self.encoding)


def stage_bytes(
    header: ImageHeader,
    width: int,
    height: int,
    output_format: ImageFormat,
    *,
    lossless: bool = False,
) -> StageBytes:
    """Return the bytes for a source with this header, enlarged to width x height pixels; `lossless`
    is for formats that can do with and without loss."""
    pixels, sample = width * height, header.sample_bytes
    held = sample * pixels
    encoder = (_LOSSLESS_ENCODERS if lossless else _ENCODERS)[output_format]
    return StageBytes(
        decoding=WORKSPACE_BYTES + round(_decoding(header) * header.pixels),
        enlarging=WORKSPACE_BYTES + held + _enlarging(header, width, height),
        encoding=WORKSPACE_BYTES
        + held
        + _strip_bytes(header, width, height, output_format)
        + round(encoder(header, pixels)),
    )


def most_bytes(width: int, height: int) -> int:
    """Return a bound for outputs of width x height pixels, from sources of any kind and in any
    format: no header is needed for it."""
    sides = MOST_SIDE_BYTES * (width + height)
    return WORKSPACE_BYTES + MOST_PIXEL_BYTES * width * height + sides


def samples_bytes(source_pixels: int, output_pixels: int) -> int:
    """Return the most that source and output of any kind hold between two tiles."""
    return MOST_SAMPLE_BYTES * (source_pixels + output_pixels) + FILL_BYTES * source_pixels


def check_memory(
    header: ImageHeader,
    width: int,
    height: int,
    output_format: ImageFormat,
    most: int,
    *,
    lossless: bool = False,
) -> None:
    """Raise OutputTooLarge for a picture that takes more than `most` bytes, with the formats and
    the size that would fit, and ImageTooLarge where no output of this source would."""
    if stage_bytes(header, width, height, output_format, lossless=lossless).peak() > most:
        raise too_much_memory(header, width, height, output_format, most, lossless=lossless)


def too_much_memory(
    header: ImageHeader,
    width: int,
    height: int,
    output_format: ImageFormat,
    most: int,
    tile_bytes: int = 0,
    *,
    lossless: bool = False,
) -> ImageTooLarge | OutputTooLarge:
    """Return the error for a picture that takes more than `most` bytes."""

    def needed(size: tuple[int, int], image_format: ImageFormat) -> int:
        without_loss = lossless and image_format is output_format
        return stage_bytes(header, *size, image_format, lossless=without_loss).peak(tile_bytes)

    def fits(size: tuple[int, int], image_format: ImageFormat) -> bool:
        return max(size) <= image_format.max_side and needed(size, image_format) <= most

    size, numbers = (width, height), {"max_job_bytes": most}
    takes = f"takes {needed(size, output_format) / 1e6:.0f} MB of a worker's memory"
    takes += f"; at most {most / 1e6:.0f} MB are allowed."
    smaller = (s for s in _smaller_sizes(header, width, height) if fits(s, output_format))
    remedies = [f"at most {size[0]} x {size[1]} pixels" for size in list(smaller)[:1]]
    others = [f.value for f in WRITTEN if f is not output_format and fits(size, f)]
    remedies += [f"the format {' or '.join(others)}"] if others else []
    if not remedies:
        text = f"An image of {header.width} x {header.height} pixels {takes}"
        return ImageTooLarge(f"{text} Send a smaller one.", **numbers)
    text = f"An output of {width} x {height} pixels as {output_format.value} {takes}"
    return OutputTooLarge(f"{text} Ask for {', or for '.join(remedies)}.", **numbers)


def _smaller_sizes(header: ImageHeader, width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yield sizes between the output and the source, the largest first."""
    for percent in range(99, -1, -1):
        yield (
            header.width + (width - header.width) * percent // 100,
            header.height + (height - header.height) * percent // 100,
        )


def _decoding(header: ImageHeader) -> float:
    """Return the bytes per source pixel, samples included."""
    sample = header.sample_bytes
    turned = sample if header.orientation > 1 else 0
    own = _DECODING.get(header.format)
    if own is not None:
        return own(header) + (0 if header.format is ImageFormat.JPEG else turned)
    if header.bit_depth == 16:
        deep = DEEP_AVIF_DECODER_BYTES if header.format is ImageFormat.AVIF else 0
        frames = 0 if header.frame is None else 2 * FRAMES_BYTES
        return sample + deep + turned + frames
    # Pillow hands out samples as a list of parts, and joins them.
    frames = 0 if header.frame is None else FRAMES_BYTES
    return _pillow_bytes(header) + 2 * sample + turned + _DECODERS.get(header.format, 0) + frames


def _decoding_png(header: ImageHeader) -> float:
    """Return the bytes of the samples, and of a copy of the file or, of an animation, of its
    frames: Pillow's, or of 16 bits the one before and the one that is laid over it."""
    frames = 0
    if header.frame is not None:
        frames = 2 * header.sample_bytes if header.bit_depth == 16 else 3 * PILLOW_BYTES
    return (1 + PNG_FILE_PART) * header.sample_bytes + frames


def _decoding_tiff(header: ImageHeader) -> float:
    coefficients = 0 if header.jpeg_quality is None else JPEG_COEFFICIENT_BYTES * header.colours
    return TIFF_SAMPLE_PART * header.sample_bytes + TIFF_BYTES + coefficients


def _decoding_jpeg(header: ImageHeader) -> int:
    """Return the bytes of samples, coefficients, and Pillow's image where the chroma is sampled in
    an unusual way; in CMYK of the samples in inks and two images of Pillow's."""
    if header.mode == "CMYK":
        return 3 * PILLOW_BYTES + 2 * header.sample_bytes
    return header.sample_bytes + PILLOW_BYTES + JPEG_COEFFICIENT_BYTES * header.colours


_DECODING: dict[ImageFormat, Callable[[ImageHeader], float]] = {
    ImageFormat.JXL: lambda header: header.sample_bytes + JXL_DECODER_BYTES,
    ImageFormat.PNG: _decoding_png,
    ImageFormat.JPEG: _decoding_jpeg,
    ImageFormat.TIFF: _decoding_tiff,
    ImageFormat.HEIC: lambda header: HEIC_SAMPLE_PART * header.sample_bytes + HEIC_BYTES,
    ImageFormat.GIF: lambda header: GIF_BYTES,
}
"""Bytes per source pixel, samples included, of decoders that are not Pillow's alone."""


def _pillow_bytes(header: ImageHeader) -> int:
    """Return the bytes per pixel of Pillow's image, and of the one that it is converted to."""
    stored = 1 if header.mode in ("1", "L", "P") else PILLOW_BYTES
    if header.mode in ("P", "CMYK") or (header.transparent and header.mode in ("1", "L", "RGB")):
        return stored + PILLOW_BYTES
    return stored + 1 if header.mode == "1" else stored


def _enlarging(header: ImageHeader, width: int, height: int) -> int:
    """Return the bytes beside the samples of the output."""
    channels = header.colours + header.transparent
    floats = FLOOR_BYTES * channels * header.width * min(FLOOR_ROWS, header.height)
    fill = FILL_BYTES if header.transparent else 0
    weights = SIDE_BYTES * (width + height) + MATRIX_BYTES * channels**2 * width
    strip = ALPHA_STRIP_BYTES * _strip_pixels(width, height) if header.transparent else 0
    return (header.sample_bytes + fill) * header.pixels + floats + weights + strip


def _strip_pixels(width: int, height: int) -> int:
    """Return the pixels of one strip (`images.picture.strips`)."""
    return min(width * min(height, STRIP_ROWS), max(STRIP_PIXELS, 2 * width))


def _strip_bytes(header: ImageHeader, width: int, height: int, output_format: ImageFormat) -> int:
    """Return the bytes of one strip while samples are converted, or colours counted."""
    kept = output_format.facts
    converted = (
        (header.bit_depth == 16 and not (kept.keeps_16_bits or kept.keeps_10_bits))
        or (header.transparent and not kept.keeps_alpha)
        or (header.colours == 1 and not kept.keeps_grey)
    )
    per_pixel = STRIP_BYTES if converted else 0
    if header.mode == "P":
        per_pixel = PALETTE_STRIP_BYTES
    return per_pixel * _strip_pixels(width, height)


def _png(header: ImageHeader, pixels: int) -> float:
    return PNG_FILE_PART * header.sample_bytes * pixels


def _tiff(header: ImageHeader, pixels: int) -> float:
    return TIFF_FILE_PART * header.sample_bytes * pixels


def _jpeg(header: ImageHeader, pixels: int) -> float:
    converted = header.transparent or header.bit_depth == 16
    colours = 3 if header.transparent else header.colours  # flattened on a colour
    return colours * (JPEG_FILE_BYTES + converted) * pixels


def _webp(header: ImageHeader, pixels: int) -> float:
    coder = WEBP_ALPHA_BYTES if header.transparent else WEBP_BYTES
    if pixels <= SHARP_PIXELS:
        coder = max(coder, WEBP_LOSSLESS_BYTES)
    return (_in_rgb(header) + coder) * pixels


def _webp_lossless(header: ImageHeader, pixels: int) -> float:
    return (_in_rgb(header) + WEBP_LOSSLESS_BYTES) * pixels


def _jxl_lossless(header: ImageHeader, pixels: int) -> float:
    part = JXL_LOSSLESS_DEEP_PART if header.bit_depth == 16 else JXL_LOSSLESS_PART
    return part * header.sample_bytes * pixels


def _avif(header: ImageHeader, pixels: int) -> float:
    if header.bit_depth == 16:
        return (_in_colour(header) + DEEP_AVIF_BYTES) * pixels
    coder = AVIF_ALPHA_BYTES if header.transparent else AVIF_BYTES
    full = AVIF_FULL_BYTES if pixels <= FULL_COLOUR_PIXELS else 0
    return (_in_colour(header) + coder + full) * pixels


def _in_rgb(header: ImageHeader) -> int:
    """Return the bytes per pixel of copies in 8 bits and in colour."""
    reduced = header.colours + header.transparent if header.bit_depth == 16 else 0
    return reduced + (3 + header.transparent if header.colours == 1 else 0)


def _in_colour(header: ImageHeader) -> int:
    """Return the bytes per pixel of a copy of grey in colour."""
    return (3 + header.transparent) * header.bit_depth // 8 if header.colours == 1 else 0


def _jxl(header: ImageHeader, pixels: int) -> float:
    sample = header.sample_bytes
    group = JXL_GROUP_BYTES + 2 * sample
    lossy = 2 * sample * pixels + group * min(pixels, JXL_GROUP_PIXELS)  # a copy, and the file
    return max(lossy, _jxl_lossless(header, pixels)) if pixels <= SHARP_PIXELS else lossy


_ENCODERS: dict[ImageFormat, Callable[[ImageHeader, int], float]] = {
    ImageFormat.PNG: _png,
    ImageFormat.JPEG: _jpeg,
    ImageFormat.WEBP: _webp,
    ImageFormat.AVIF: _avif,
    ImageFormat.JXL: _jxl,
    ImageFormat.TIFF: _tiff,
}
_LOSSLESS_ENCODERS: dict[ImageFormat, Callable[[ImageHeader, int], float]] = {
    **_ENCODERS,
    ImageFormat.WEBP: _webp_lossless,
    ImageFormat.JXL: _jxl_lossless,
}
