"""Texts of a PNG: read within bounds."""

from __future__ import annotations

import zlib

import pytest

from images.metadata.embedded import embedded_metadata
from images.metadata.facts import Text
from images.metadata.png_text import MAX_BYTES, MAX_TEXTS, texts
from jobs.formats import ImageFormat
from tests.support.marked_pictures import chunk, iptc_resources, packet

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        (b"tEXt", b"Title\0\xe9", "é"),
        (b"zTXt", b"Title\0\0" + zlib.compress(b"\xe9"), "é"),
        (b"iTXt", b"Title\0\0\0de\0Titel\0" + "東".encode(), "東"),
        (b"iTXt", b"Title\0\1\0\0\0" + zlib.compress("東".encode()), "東"),
        (b"tEXt", b"Title\0", ""),
    ],
)
def test_all_kinds_are_read(kind: bytes, content: bytes, text: str) -> None:
    assert list(texts(png(chunk(kind, content)))) == [Text("Title", text)]


def test_texts_behind_the_pixels_count() -> None:
    assert list(texts(png() + chunk(b"tEXt", b"Title\0A"))) == [Text("Title", "A")]


@pytest.mark.parametrize(
    "damaged",
    [
        chunk(b"tEXt", b"\0no keyword"),
        chunk(b"tEXt", b"k" * 80 + b"\0text"),
        chunk(b"zTXt", b"Title\0\0" + zlib.compress(b"x" * 100)[:-3]),
        chunk(b"zTXt", b"Title\0\0no stream"),
        chunk(b"iTXt", b"Title\0\0\0\0\0\xff\xfe"),
        chunk(b"zTXt", b"Title\0\0" + zlib.compress(b"x" * (MAX_BYTES + 1))),
        chunk(b"tEXt", b"Title\0" + b"x" * MAX_BYTES),
        chunk(b"tEXt", b"Title\0A")[:-1] + b"?",
    ],
    ids=["no keyword", "long keyword", "cut", "no stream", "no UTF-8", "bomb", "large", "checksum"],
)
def test_a_damaged_one_goes_and_the_others_stay(damaged: bytes) -> None:
    sound = chunk(b"tEXt", b"Title\0A")
    assert list(texts(png(damaged, sound))) == [Text("Title", "A")]


def test_all_together_are_bounded() -> None:
    half = chunk(b"zTXt", b"Title\0\0" + zlib.compress(b"x" * (MAX_BYTES // 2)))
    assert len(list(texts(png(*[half] * 10)))) == 2
    assert len(list(texts(png(*[chunk(b"tEXt", b"Title\0")] * 1000)))) == MAX_TEXTS


def test_texts_of_other_kinds_of_metadata_are_none() -> None:
    resources = iptc_resources()
    profile = f"\niptc\n{len(resources):8}\n{resources.hex()}\n".encode()
    xmp = f"\nxmp\n{len(packet()):8}\n{packet().hex()}\n".encode()
    data = png(
        chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(profile)),
        chunk(b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(xmp)),
        chunk(b"tEXt", b"Thumb::URI\0file:///home/somebody/picture.jpg"),
        chunk(b"tEXt", b"Title\0A"),
    )
    stored = embedded_metadata(data, ImageFormat.PNG)
    assert stored.texts == (Text("Title", "A"),)
    assert stored.xmp == packet()
    assert b"CityOfTheDataSets" in stored.iptc
