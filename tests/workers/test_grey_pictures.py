"""A picture that is grey by content stays grey, whatever its file's layout."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from skimage import data

from images.decode import decode
from images.encode import encode
from images.picture import FloatArray, PictureKind
from jobs.formats import ImageFormat
from models.catalog import SHIPPED, read_catalog
from scheduling.tiling import tiling_of
from tests.workers.workbench import in_tiles, picture_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import Engine, upscale


def page() -> FloatArray:
    """A page of text and a photograph, [1, 40, 56], which show colour fringes."""
    text = data.page()[60:100, 40:68]
    photograph = data.camera()[200:240, 200:228]
    grey: FloatArray = np.concatenate([text, photograph], axis=1)[None].astype(np.float32)
    return grey / np.float32(255)


def ignore(part: float) -> None:
    assert 0 < part <= 1


@pytest.fixture(scope="module", params=("anysr-s", "anysr-m"))
def engine(request: pytest.FixtureRequest) -> Engine:
    entry = read_catalog().get(request.param)
    served = LoadedModel(entry, OnnxSession(SHIPPED, entry, threads=1), tiling_of(entry))
    return served.at(entry.widths[-1].width)


def in_three(grey: FloatArray) -> FloatArray:
    return np.repeat(grey, 3, axis=0)


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_three_equal_channels_come_back_equal(engine: Engine, bit_depth: int) -> None:
    picture = picture_of(in_three(page()), bit_depth=bit_depth)
    made = upscale(picture, 80, 112, engine, ignore).picture.pixels.colour
    alone = picture_of(page(), kind=PictureKind.GREY, bit_depth=bit_depth)
    as_grey = upscale(alone, 80, 112, engine, ignore).picture.pixels.colour
    assert made.shape == (3, 80, 112)
    assert (made == as_grey).all()


def test_tiles_of_a_grey_picture_are_grey(engine: Engine) -> None:
    made = upscale(picture_of(in_three(page())), 80, 112, in_tiles(engine, pixels=600), ignore)
    assert made.tiles > 1
    assert (made.picture.pixels.colour == made.picture.pixels.colour[:1]).all()


def test_hidden_colours_do_not_make_a_grey_picture_coloured(engine: Engine) -> None:
    colour, alpha = in_three(page()), np.ones((40, 56), np.float32)
    colour[0, :20, :20], alpha[:20, :20] = 1, 0
    made = upscale(picture_of(colour, alpha), 80, 112, engine, ignore).picture
    assert (made.pixels.colour == made.pixels.colour[:1]).all()
    assert made.pixels.alpha is not None


def as_file(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "name", "options"),
    [
        ("RGB", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {}),
        ("RGB", "JPEG", {"quality": 60}),
        ("RGB", "JPEG", {"quality": 92, "subsampling": 0}),
        ("RGB", "WEBP", {"quality": 60}),
    ],
)
def test_a_grey_file_in_colour_keeps_its_kind_and_gets_no_tint(
    engine: Engine, mode: str, name: str, options: dict[str, object]
) -> None:
    grey = Image.fromarray(np.rint(page()[0] * 255).astype(np.uint8))
    source = decode(as_file(grey.convert(mode), name, **options), 10_000)
    larger = upscale(source, 80, 112, engine, ignore).picture
    assert larger.kind is source.kind is not PictureKind.GREY
    written = Image.open(io.BytesIO(encode(larger, ImageFormat.PNG)))
    assert (written.mode in ("RGB", "P"), written.mode == "RGBA") == (
        mode != "RGBA",
        mode == "RGBA",
    )
    samples = np.asarray(written.convert("RGB")).astype(int)
    assert (
        np.ptp(samples, axis=2).max()
        <= np.rint(np.ptp(source.pixels.colour, axis=0).max() * 255)
        <= 1
    )


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_channels_that_differ_by_a_level_differ_by_no_more_when_larger(
    engine: Engine, bit_depth: int
) -> None:
    grey = np.rint(page() * 254) / 255
    apart = np.random.default_rng(3).integers(0, 2, (3, 40, 56)) / 255
    picture = picture_of((grey + apart).astype(np.float32), bit_depth=bit_depth)
    made = upscale(picture, 95, 112, engine, ignore).picture.pixels.colour
    rounding = 1.01 / 65535  # of two channels, by half a step of 16 bits each
    assert 0 < np.ptp(made, axis=0).max() <= 1 / 255 + rounding


def test_a_faint_tint_of_a_whole_picture_is_kept(engine: Engine) -> None:
    colour = np.full((3, 20, 24), 254 / 255, np.float32)
    colour[2] -= 1 / 255
    made = upscale(picture_of(colour), 47, 57, engine, ignore).picture.pixels.colour
    assert np.abs((made - made[:1]) - (colour - colour[:1])[:, :1, :1]).max() < 2e-5
    assert np.abs(made - colour[:, :1, :1]).max() < 2 / 255


def test_two_levels_are_a_colour(engine: Engine) -> None:
    """The network sees three channels that differ."""
    seen: list[FloatArray] = []

    class Watching:
        def run(self, image, rows, columns, strength=0.0):
            seen.append(image)
            return engine.network.run(image, rows, columns, strength)

    colour = in_three(page() * np.float32(0.9))
    colour[2, 30, 40] += 2 / 255
    upscale(picture_of(colour), 80, 112, replace(engine, network=Watching()), ignore)
    colour[2, 30, 40] -= 1 / 255
    upscale(picture_of(colour), 80, 112, replace(engine, network=Watching()), ignore)
    assert [bool(np.ptp(image, axis=1).any()) for image in seen] == [True, False]
