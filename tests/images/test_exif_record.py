"""EXIF records that are written anew: with a resolution, and with rights alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from images.directories import Tiff
from images.encode import encode
from images.exif import PREFIX, bounded, cleaned, is_sound
from images.metadata.exif_record import MAX_WRITTEN, density, rights, with_density
from images.metadata.facts import Density, Metadata
from images.picture import Picture, Raster
from jobs.formats import ImageFormat
from tests.images.test_exif import ASCII, MAKER, drawn_record, end_of, tiff
from tests.support.marked_pictures import AUTHOR, CAMERA, NOTICE, exif

DPI_300 = Density(300 / 0.0254, 300 / 0.0254)


def read(record: bytes) -> Image.Exif:
    found = Image.Exif()
    found.load(record)
    return found


def record(order: str) -> bytes:
    made = exif()
    made.endian = order
    return made.tobytes().removeprefix(PREFIX)


@pytest.mark.parametrize("order", "<>")
def test_a_resolution_is_added_and_all_else_stays(order: str) -> None:
    before = cleaned(record(order))
    assert density(before.removeprefix(PREFIX)) is None
    after = with_density(before, DPI_300)
    assert density(after.removeprefix(PREFIX)) == DPI_300
    old, new = read(before), read(after)
    assert {tag: new[tag] for tag in old} == dict(old)
    assert new.get_ifd(0x8769) == old.get_ifd(0x8769)
    assert new.get_ifd(0x8825) == old.get_ifd(0x8825)
    assert (new[0x011A], new[0x011B], new[0x0128]) == (300, 300, 2)
    tags = [entry.tag for entry in Tiff(after.removeprefix(PREFIX)).first.entries]
    assert tags == sorted(tags)  # as TIFF wants them


@pytest.mark.parametrize("order", "<>")
def test_another_resolution_takes_its_place(order: str) -> None:
    once = with_density(cleaned(record(order)), DPI_300)
    twice = with_density(once, Density(100 / 0.0254, 200 / 0.0254))
    assert len(twice) == len(once)
    assert (read(twice)[0x011A], read(twice)[0x011B]) == (100, 200)


def test_values_stay_where_they_are() -> None:
    """Maker notes hold positions in the record."""
    made = tiff([(MAKER, ASCII, 8, end_of(1) + 4)], b"\0\0\0\0maker 1\0")
    after = with_density(PREFIX + made, DPI_300).removeprefix(PREFIX)
    assert after.index(b"maker 1") == made.index(b"maker 1")


def test_a_record_that_would_be_too_large_stays_as_it_is() -> None:
    largest = MAX_WRITTEN - len(PREFIX)
    full = PREFIX + tiff([(MAKER, ASCII, largest - end_of(1), end_of(1))]).ljust(largest, b"x")
    assert with_density(full, DPI_300) == full
    picture = Picture(Raster(np.zeros((8, 8, 3), np.uint8)), metadata=Metadata(full))
    assert full in encode(picture, ImageFormat.JPEG)


@pytest.mark.parametrize(
    ("x", "unit", "per_metre"),
    [
        (IFDRational(300), 2, 300 / 0.0254),
        (IFDRational(300), None, 300 / 0.0254),
        (IFDRational(118), 3, 11800),
        (IFDRational(145, 2), 2, 72.5 / 0.0254),
    ],
)
def test_units(x: IFDRational, unit: int | None, per_metre: float) -> None:
    made = Image.Exif()
    made[0x011A] = made[0x011B] = x
    if unit is not None:
        made[0x0128] = unit
    found = density(made.tobytes().removeprefix(PREFIX))
    assert found is not None
    assert found.x == found.y == pytest.approx(per_metre)


def test_a_fraction_by_zero_is_no_resolution() -> None:
    made = Image.Exif()
    made[0x011A] = made[0x011B] = IFDRational(300, 0)
    assert density(made.tobytes().removeprefix(PREFIX)) is None


def test_rights_are_a_record_of_their_own() -> None:
    written = rights(record("<"))
    assert {*read(written).values()} == {AUTHOR, NOTICE}
    assert CAMERA.encode() not in written
    assert len(written) < 100
    nobody = tiff([(MAKER, ASCII, 4, b"Abc\0")])
    assert rights(nobody) == rights(b"") == b""


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
    st.integers(0, 300),
)
def test_any_record_is_read_and_written(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(drawn_record())
    for at, value in changes:
        data[at % len(data)] = value
    for source in (bytes(data), bytes(data[:length])):
        kept = bounded(source)
        density(kept)
        for made in (cleaned(kept), rights(kept)):
            written = with_density(made, DPI_300).removeprefix(PREFIX)
            assert is_sound(bounded(written))
            assert density(written) == DPI_300
