"""TIFF: read by libtiff, through imagecodecs, which hands out samples as they are stored; written
here, because neither Pillow nor imagecodecs writes colours of 16 bits."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from images.alpha_weighting import unpremultiplied
from images.containers import tiff as tags
from images.containers.tiff import ASSOCIATED, PALETTE, WHITE_IS_ZERO, TiffFile, TiffHeader
from images.exif import MAX_BYTES, PREFIX
from images.metadata.exif_record import exif_of
from images.metadata.facts import NO_METADATA, Metadata
from images.picture import Samples
from images.tiff_tree import Tree, Value, read_tree, written_tree
from jobs.errors import OutputTooLarge

STRIP_BYTES = 1 << 18
"""Samples that are compressed together."""
LEVEL = 1
"""libdeflate's fastest."""
HORIZONTAL = 2
"""The predictor that stores differences of neighbours."""
MOST_BYTES = (1 << 32) - (1 << 24)
"""Of a file, whose positions have 32 bits; the last part is for directories."""
BYTE, SHORT, LONG, UNDEFINED = 1, 3, 4, 7
"""Types of values."""


def decode_tiff(data: bytes, header: TiffHeader) -> Samples:
    """Return the samples of a page, [H, W, 1..4] of 8 or 16 bits, not turned upright; palettes are
    looked up. Raises imagecodecs.TiffError for damaged data, and ValueError where the file holds
    something else than its header states."""
    stored = imagecodecs.tiff_decode(data, index=header.directory)
    if header.separate:
        stored = np.moveaxis(stored, 0, 2)
    stored = stored.reshape(*stored.shape[:2], -1)
    if stored.shape != (header.height, header.width, header.samples):
        raise ValueError("not the samples that the header states")
    samples = _meant(stored, header)
    if header.photometric == PALETTE:
        samples = _looked_up(samples, _palette(data, header), header.bits)
    elif header.bits < 8:
        samples = _levels(samples, header.bits)
    if header.photometric == WHITE_IS_ZERO:
        samples = samples.copy()
        np.invert(samples[:, :, :1], out=samples[:, :, :1])
    if header.alpha == ASSOCIATED:
        return unpremultiplied(samples)
    return np.ascontiguousarray(samples)


def _meant(stored: Samples, header: TiffHeader) -> Samples:
    """Return the samples that are colours, and transparency as the last one."""
    colours = header.stored_colours
    if header.alpha_at > colours:
        return stored[:, :, [*range(colours), header.alpha_at]]
    return stored[:, :, : colours + bool(header.alpha)]


def _levels(samples: Samples, bits: int) -> NDArray[np.uint8]:
    """Return samples of at most 8 bits as levels up to 255."""
    levels = np.arange(0, 256, 255 // ((1 << bits) - 1), dtype=np.uint8)
    return levels[samples.astype(np.uint8)]


def _looked_up(samples: Samples, palette: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Return the colours of places in a palette [H, W, 1], with transparency if it is behind."""
    colours = palette[samples[:, :, 0].astype(np.uint8)]
    if samples.shape[2] == 1:
        return colours
    return np.concatenate([colours, _levels(samples[:, :, 1:], bits)], axis=2)


def _palette(data: bytes, header: TiffHeader) -> NDArray[np.uint8]:
    """Return the colours [N, 3]. Some writers store them in 8 bits instead of 16."""
    file = TiffFile(data)
    fields = file.directory(header.at)
    count = 3 << header.bits
    values = file.values(fields.get(tags.COLOUR_MAP), count)
    if len(values) != count:
        raise ValueError("no palette of this depth")
    table = np.array(values, np.uint16).reshape(3, -1).T
    return (table if table.max() < 256 else table >> 8).astype(np.uint8)


def profile_of_tiff(data: bytes, header: TiffHeader, most: int) -> bytes | None:
    """Return the ICC profile of a page, None where there is none of at most `most` bytes."""
    file = TiffFile(data)
    return file.content(file.directory(header.at).get(tags.PROFILE), most) or None


def encode_tiff(
    samples: Samples, icc: bytes | None = None, metadata: Metadata = NO_METADATA
) -> bytes:
    """Return samples [H, W, C] of 8 or 16 bits as a TIFF, compressed by Deflate with a predictor.

    The file has the byte order of its EXIF record, whose values are taken over as they are. Raises
    OutputTooLarge for more than 4 GB.
    """
    if samples.nbytes > MOST_BYTES:
        raise OutputTooLarge("A TIFF holds at most 4 GB. Ask for a smaller scale.")
    record = exif_of(metadata, has_density=False).removeprefix(PREFIX)
    order = ">" if record.startswith(b"MM") else "<"
    file = io.BytesIO()
    file.write((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    parts = _written_strips(file, samples, order)
    tree = _described(record, metadata, icc)
    tree.values |= _structure(samples, parts, order)
    at = file.tell() + file.tell() % 2
    file.seek(at)
    file.write(written_tree(tree, at, order))
    file.seek(4)
    file.write(struct.pack(f"{order}I", at))
    return file.getvalue()


def _rows(samples: Samples) -> int:
    """Return the rows of a strip."""
    return max(1, STRIP_BYTES // samples[:1].nbytes)


def _written_strips(file: io.BytesIO, samples: Samples, order: str) -> list[tuple[int, int]]:
    """Write all strips; return position and length of each."""
    rows, parts = _rows(samples), []
    for start in range(0, len(samples), rows):
        block = samples[start : start + rows]
        differences = block.copy()
        differences[:, 1:] -= block[:, :-1]
        # imagecodecs takes any buffer; its stub lists fewer types
        stored: Any = differences.byteswap() if order == ">" else differences
        parts.append((file.tell(), file.write(imagecodecs.deflate_encode(stored, LEVEL))))
    return parts


def _described(record: bytes, metadata: Metadata, icc: bytes | None) -> Tree:
    """Return the directory of what is not pixels."""
    tree = Tree()
    if record:
        file = TiffFile(record)
        tree = read_tree(file, file.first, MAX_BYTES)
    contents = {tags.XMP: (BYTE, metadata.xmp), tags.IPTC: (UNDEFINED, metadata.iptc)}
    contents[tags.PROFILE] = (UNDEFINED, icc or b"")
    for tag, (kind, content) in contents.items():
        if content:
            tree.values[tag] = Value(kind, len(content), content)
    return tree


def _structure(samples: Samples, parts: list[tuple[int, int]], order: str) -> dict[int, Value]:
    """Return the entries that say how the samples are stored."""
    height, width, channels = samples.shape
    offsets, counts = zip(*parts, strict=True)
    numbers: dict[int, tuple[int, tuple[int, ...]]] = {
        tags.WIDTH: (LONG, (width,)),
        tags.HEIGHT: (LONG, (height,)),
        tags.BITS: (SHORT, (8 * samples.itemsize,) * channels),
        tags.COMPRESSION: (SHORT, (tags.DEFLATE,)),
        tags.PHOTOMETRIC: (SHORT, (tags.BLACK_IS_ZERO if channels < 3 else tags.RGB,)),
        tags.OFFSETS: (LONG, offsets),
        tags.SAMPLES: (SHORT, (channels,)),
        tags.ROWS: (LONG, (_rows(samples),)),
        tags.COUNTS: (LONG, counts),
        tags.PLANES: (SHORT, (1,)),
        tags.PREDICTOR: (SHORT, (HORIZONTAL,)),
    }
    if channels in (2, 4):
        numbers[tags.EXTRA] = (SHORT, (tags.UNASSOCIATED,))
    return {tag: _value(kind, values, order) for tag, (kind, values) in numbers.items()}


def _value(kind: int, values: tuple[int, ...], order: str) -> Value:
    letter = "H" if kind == SHORT else "I"
    return Value(kind, len(values), struct.pack(f"{order}{len(values)}{letter}", *values))
