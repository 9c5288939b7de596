"""Resolutions in the forms of JPEG, PNG and EXIF."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.exif import PREFIX, bounded
from images.metadata import exif_record
from images.metadata.density import from_jfif, from_png, to_jfif, to_png
from images.metadata.exif_record import with_density
from images.metadata.facts import Density


def jfif(unit: int, x: int, y: int) -> bytes:
    return b"JFIF\0\1\1" + struct.pack(">BHH", unit, x, y) + bytes(2)


@pytest.mark.parametrize("unit", [1, 2])
@given(x=st.integers(1, 65535), y=st.integers(1, 65535))
def test_a_jpeg_gets_back_what_a_jpeg_had(unit: int, x: int, y: int) -> None:
    found = from_jfif(jfif(unit, x, y))
    assert found is not None
    written = to_jfif(found)
    assert written is not None
    again = from_jfif(b"JFIF\0\1\1" + written)
    assert again is not None
    assert again.x == pytest.approx(found.x)
    assert again.y == pytest.approx(found.y)


@given(dpi=st.integers(1, 60_000))
def test_whole_pixels_per_inch_survive_a_png(dpi: int) -> None:
    found = from_jfif(jfif(1, dpi, dpi))
    assert found is not None
    assert to_jfif(found) == struct.pack(">BHH", 1, dpi, dpi)
    by_png = from_png(to_png(found))
    assert by_png is not None
    assert to_jfif(by_png) == struct.pack(">BHH", 1, dpi, dpi)
    assert to_png(by_png) == to_png(found)


def test_300_dpi_are_11811_pixels_a_metre() -> None:
    found = from_jfif(jfif(1, 300, 300))
    assert found is not None
    assert to_png(found) == struct.pack(">IIB", 11811, 11811, 1)
    assert exif_record.density(record_of(with_density(b"", found))) == found


@pytest.mark.parametrize(
    "segment",
    [
        jfif(1, 0, 0),
        jfif(1, 0, 72),
        jfif(3, 72, 72),
        jfif(0, 1, 1),
        jfif(0, 0, 0),
        b"JFIF\0",
        b"JFXX\0",
        b"",
    ],
)
def test_no_density(segment: bytes) -> None:
    assert from_jfif(segment) is None


@pytest.mark.parametrize("chunk", [b"", bytes(9), struct.pack(">IIB", 1, 1, 2), bytes(10)])
def test_no_density_in_a_png(chunk: bytes) -> None:
    assert from_png(chunk) is None


def test_a_ratio_without_a_unit_is_kept() -> None:
    found = from_jfif(jfif(0, 2, 1))
    assert found == Density(2, 1, absolute=False)
    assert to_jfif(found) == struct.pack(">BHH", 0, 2, 1)
    assert from_png(to_png(found)) == found
    assert exif_record.density(record_of(with_density(b"", found))) == found
    assert to_jfif(Density(2_000_000, 1_000_000, absolute=False)) == struct.pack(
        ">BHH", 0, 1000, 500
    )


def test_what_a_jpeg_cannot_hold_is_left_out() -> None:
    assert to_jfif(Density(1e8, 1e8)) is None
    assert to_jfif(Density(0.001, 0.001)) is None
    assert to_jfif(None) is None


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e10])
def test_absurd_values_are_none(value: float) -> None:
    with pytest.raises(ValueError, match="density"):
        Density(value, 1)


@given(st.floats(1e-3, 1e9), st.floats(1e-3, 1e9))
def test_any_density_is_written(x: float, y: float) -> None:
    density = Density(x, y)
    assert from_png(to_png(density)) is not None
    assert bounded(record_of(with_density(b"", density)))
    to_jfif(density)


def record_of(exif: bytes) -> bytes:
    assert exif.startswith(PREFIX)
    return exif.removeprefix(PREFIX)
