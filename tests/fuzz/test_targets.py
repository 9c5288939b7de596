"""Fuzz targets do not rot: each accepts its own seeds, and none accepts everything."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from benchmarks.png_checksums import with_checksums
from benchmarks.specimens import HEIGHT, WIDTH, refused_specimens, specimens
from images.decode import decode
from images.opening import read_header
from jobs.errors import CorruptImage, InputError, InvalidRequest
from jobs.formats import ImageFormat
from tests.fuzz.target import read_or_refused
from tests.fuzz.targets import NAMES, target

LIMIT = 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_target_accepts_its_seeds_and_damaged_ones(name: str) -> None:
    chosen = target(name)
    seeds = list(chosen.seeds())
    assert seeds
    assert len(seeds) == len(set(seeds))
    for seed in seeds:
        assert len(seed) <= chosen.longest
        for data in (seed, seed[: len(seed) // 2], seed[::-1], b""):
            chosen.run(data)
            chosen.run(chosen.repaired(data))


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [
        ("header", "header", "read_header"),
        ("decode", "decode", "decode"),
        ("exif", "exif", "bounded"),
        ("metadata", "metadata", "extract_metadata"),
        ("form", "form", "PictureForm"),
        ("upload", "upload", "READER"),
        ("parameters", "parameters", "parse_request"),
        ("graph", "graph", "parsed"),
    ],
)
def test_an_undocumented_error_is_a_finding(
    name: str, module: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def __call__(self, *_: object) -> None:
            raise ZeroDivisionError

        def received(self, _: object) -> None:
            raise ZeroDivisionError

    chosen = target(name)
    monkeypatch.setattr(f"tests.fuzz.targets.{module}.{function}", Broken())
    with pytest.raises(ZeroDivisionError):
        chosen.run(next(iter(chosen.seeds())))


def test_only_the_documented_errors_count_as_refusals() -> None:
    class Narrower(InvalidRequest):
        pass

    def raising(error: Exception) -> Callable[[], None]:
        def call() -> None:
            raise error

        return call

    assert read_or_refused(raising(InvalidRequest()), (InvalidRequest,)) is None
    for other in (Narrower(), CorruptImage(), ValueError()):
        with pytest.raises(type(other)):
            read_or_refused(raising(other), (InvalidRequest,))


def test_specimens_are_read_in_every_format() -> None:
    formats = set()
    for name, data in specimens().items():
        header = read_header(data, LIMIT)
        picture = decode(data, LIMIT)
        assert {picture.width, picture.height} == {WIDTH, HEIGHT}, name
        assert name.startswith(header.format.value)
        formats.add(header.format)
    assert formats >= {ImageFormat.PNG, ImageFormat.JPEG}


def test_refused_specimens_are_refused() -> None:
    for data in refused_specimens().values():
        with pytest.raises(InputError):
            decode(data, LIMIT)


def test_checksums_of_a_png_are_made_right() -> None:
    data = specimens()["png RGB"]
    assert with_checksums(data) == data
    wider = data[:16] + struct.pack(">I", WIDTH + 1) + data[20:]
    with pytest.raises(CorruptImage):
        read_header(wider, LIMIT)
    assert read_header(with_checksums(wider), LIMIT).width == WIDTH + 1
    other = specimens()["jpeg RGB"]
    assert with_checksums(other) == other
