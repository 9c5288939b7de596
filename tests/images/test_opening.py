"""Refusals on opening: files drawn to cost more than their headers state."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from images.compression.avif import coded_sizes
from images.containers.png import MAX_CHUNKS
from images.decode import decode
from images.opening import MOST_SCANS, read_header
from jobs.errors import AnimatedImage, CorruptImage, DecodingTooLong, ImageTooLarge
from tests.support.pictures import ENDLESS_SIDE, draw_endless_jpeg

LIMIT = 1_000_000
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")


def saved(mode: str, size: tuple[int, int], image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format=image_format, **options)
    return buffer.getvalue()


def png_with(chunks: int) -> bytes:
    """A PNG with empty chunks behind its pixels."""
    data = saved("RGB", (8, 8), "PNG")
    empty = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    return data[:-12] + empty * chunks + data[-12:]


def claiming(data: bytes, width: int, height: int) -> bytes:
    """An AVIF whose container claims a size that its streams do not have."""
    changed, at = bytearray(data), data.find(b"ispe")
    while at >= 0:
        changed[at + 8 : at + 16] = struct.pack(">II", width, height)
        at = data.find(b"ispe", at + 1)
    return bytes(changed)


def test_a_png_of_many_chunks_is_refused() -> None:
    assert read_header(png_with(5000), LIMIT).pixels == 64
    with pytest.raises(CorruptImage):
        read_header(png_with(MAX_CHUNKS), LIMIT)


def test_a_png_without_its_palette_is_refused() -> None:
    whole = saved("P", (8, 8), "PNG")
    start = whole.index(b"PLTE") - 4
    length = 12 + int.from_bytes(whole[start : start + 4])
    for read in (read_header, decode):
        read(whole, LIMIT)
        with pytest.raises(CorruptImage):
            read(whole[:start] + whole[start + length :], LIMIT)


def test_a_jpeg_of_many_scans_is_refused() -> None:
    pixels = ENDLESS_SIDE**2
    for scans, allowed in ((60, True), (100, False)):
        data = draw_endless_jpeg(scans)
        limit = 4 * pixels
        assert MOST_SCANS * limit == 80 * pixels
        for read in (read_header, decode):
            if allowed:
                read(data, limit)
            else:
                with pytest.raises(DecodingTooLong):
                    read(data, limit)


@needs_avif
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_avif_is_limited_by_what_its_streams_hold(mode: str) -> None:
    data = saved(mode, (400, 300), "AVIF")
    assert set(coded_sizes(data)) == {(400, 300)}
    for small in (claiming(data, 64, 64), claiming(data, 1, 1)):
        for read in (read_header, decode):
            with pytest.raises(ImageTooLarge):
                read(small, 400 * 300 - 1)
    assert read_header(data, 400 * 300).pixels == 400 * 300


@needs_avif
def test_the_tiles_of_an_avif_count_together() -> None:
    """Each of them is small enough."""
    assert coded_sizes(avif_of([(900, 900)] * 2)) == [(900, 900)] * 2
    data = avif_of([(900, 900)] * 6)
    with pytest.raises(ImageTooLarge):
        read_header(data, LIMIT)


@needs_avif
def test_an_avif_without_readable_streams_is_corrupt() -> None:
    data = saved("RGB", (40, 30), "AVIF")
    at = data.index(b"mdat") + 4
    with pytest.raises(CorruptImage):
        read_header(data[:at] + bytes(len(data) - at), LIMIT)


@needs_avif
def test_a_track_of_one_frame_is_refused() -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(np.full((16, 16, 3), n, np.uint8)) for n in (0, 200)]
    frames[0].save(buffer, format="AVIF", save_all=True, append_images=frames[1:])
    with pytest.raises(AnimatedImage):
        read_header(buffer.getvalue(), LIMIT)


def avif_of(sizes: list[tuple[int, int]]) -> bytes:
    """An AVIF of several coded pictures."""
    streams = [stream_of(size) for size in sizes]
    entries, places, offset = b"", b"", 0
    for n, stream in enumerate(streams, 1):
        entries += box(b"infe", struct.pack(">IHH4sB", 2 << 24, n, 0, b"av01", 0))
        places += struct.pack(">HHHHII", n, 1, 0, 1, offset, len(stream))
        offset += len(stream)
    boxes = box(b"iloc", struct.pack(">IHH", 1 << 24, 0x4400, len(streams)) + places)
    boxes += box(b"iinf", struct.pack(">IH", 0, len(streams)) + entries)
    boxes += box(b"idat", b"".join(streams))
    return box(b"ftyp", b"avif\0\0\0\0avif") + box(b"meta", bytes(4) + boxes)


def stream_of(size: tuple[int, int]) -> bytes:
    """The AV1 stream of a real AVIF."""
    data = saved("RGB", size, "AVIF")
    return data[data.index(b"mdat") + 4 :]


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content
