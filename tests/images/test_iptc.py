"""IPTC data sets: filtered as bytes, whatever they hold."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.containers.photoshop import IPTC, resource, resources
from images.metadata.iptc import BYLINE, COPYRIGHT, MAX_BYTES, cleaned, rights, values
from tests.support.marked_pictures import iptc_resources


def data_set(record: int, number: int, value: bytes) -> bytes:
    return b"\x1c" + struct.pack(">BBH", record, number, len(value)) + value


CHARACTERS = data_set(1, 90, b"\x1b%G")
CITY, NOTICE = data_set(2, 90, b"Paris"), data_set(2, 116, "© Ü".encode())


def test_what_stays_true_is_kept_as_it_is() -> None:
    preview = data_set(2, 202, b"small picture")
    assert cleaned(CHARACTERS + CITY + preview + NOTICE) == CHARACTERS + CITY + NOTICE


def test_rights_are_kept_alone() -> None:
    assert rights(CHARACTERS + CITY + NOTICE) == CHARACTERS + NOTICE
    assert rights(CHARACTERS + CITY) == b""


def test_texts_are_read_in_their_encoding() -> None:
    assert values(CHARACTERS + NOTICE, COPYRIGHT) == ["© Ü"]
    latin = data_set(2, 80, b"J\xf6rg") + data_set(2, 80, b"Ann")
    assert values(latin, BYLINE) == ["Jörg", "Ann"]


def test_a_long_value_has_an_extended_length() -> None:
    long = b"\x1c\2\x74\x80\x04" + struct.pack(">I", 40_000) + b"x" * 40_000
    assert cleaned(long + CITY) == long + CITY


@pytest.mark.parametrize(
    "damage",
    [
        b"\x1c",
        b"\x1d\2\x74\0\1A",
        b"\x1c\2\x74\0\2A",
        b"\x1c\2\x74\xff\xff",
        b"\x1c\2\x74\x80\2\xff",
    ],
)
def test_reading_ends_at_the_first_damaged_one(damage: bytes) -> None:
    assert cleaned(CITY + damage) == CITY


def test_too_much_is_dropped() -> None:
    assert cleaned(CITY * (MAX_BYTES // len(CITY) + 1)) == rights(NOTICE * MAX_BYTES) == b""


def test_resources_are_found_behind_others() -> None:
    named = b"8BIM\4\x22\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    found = dict(resources(named + iptc_resources()))
    assert found[0x0422] == b"xyz"
    assert b"CityOfTheDataSets" in found[IPTC]
    assert dict(resources(resource(IPTC, b"abc") + resource(7, b""))) == {IPTC: b"abc", 7: b""}


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    for source in (data, CITY + data, b"\x1c\2" + data):
        kept = cleaned(source)
        assert cleaned(kept) == kept
        assert rights(rights(source)) == rights(source)
        values(source, COPYRIGHT)
    list(resources(b"8BIM" + data))
