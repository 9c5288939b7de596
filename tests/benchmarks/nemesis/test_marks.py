"""A picture's mark survives what the service does to it, and no other is read in its place."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from benchmarks.nemesis.marks import drawn, read
from benchmarks.nemesis.requests import CELLS, SCALES

MARK = 0xA5_10_0F_37


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("resampling", [Image.Resampling.LANCZOS, Image.Resampling.BICUBIC])
def test_a_mark_survives_resampling(cell: int, scale: float, resampling: Image.Resampling) -> None:
    image = Image.open(io.BytesIO(drawn(MARK, cell)))
    file = io.BytesIO()
    image.resize([round(side * scale) for side in image.size], resampling).save(file, "png")
    assert read(file.getvalue()) == MARK


def test_each_mark_is_read_as_itself() -> None:
    for mark in (0, 1, 0xFFFF_FFFF, 0x8000_0001):
        assert read(drawn(mark, 6)) == mark


def test_a_picture_that_is_partly_anothers_is_none() -> None:
    one, other = (Image.open(io.BytesIO(drawn(mark, 8))) for mark in (MARK, ~MARK & 0xFFFF_FFFF))
    one.paste(other.crop((0, 0, 64, 24)), (0, 0))
    file = io.BytesIO()
    one.save(file, "png")
    assert read(file.getvalue()) is None


@pytest.mark.parametrize("file", [b"", b"no picture", drawn(MARK, 6)[:200]])
def test_what_is_no_picture_has_no_mark(file: bytes) -> None:
    assert read(file) is None
