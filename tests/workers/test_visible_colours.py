"""Enlarged transparency as it is seen: shadows and glows leave no rim over any background."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from images.alpha_weighting import needs_weights
from images.decode import decode
from images.encode import encode
from images.picture import FloatArray, Picture, Raster
from jobs.formats import WRITTEN, ImageFormat
from tests.workers.golden import loaded
from workers.upscale import Engine, upscale

SIDE = 24
WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)
RINGING = 12
"""Levels by which Lanczos overshoots beside an edge of colours that is seen."""
WITH_ALPHA = [f for f in WRITTEN if f.facts.keeps_alpha]
SCENES = [
    pytest.param(WHITE, BLACK, 26, id="shadow"),
    pytest.param(BLACK, WHITE, 26, id="glow"),
    pytest.param(WHITE, BLACK, 3, id="trace"),
    pytest.param(RED, BLUE, 26, id="red in blue"),
    pytest.param(RED, BLUE, 128, id="half"),
]
Colour = tuple[int, int, int]


@lru_cache
def engine(name: str | None) -> Engine | None:
    return None if name is None else loaded(name).at(1.0)


def ignore(part: float) -> None:
    assert 0 <= part <= 1


def scene(inside: Colour, outside: Colour, alpha: int, bits: int = 8) -> Picture:
    """Return an opaque half beside a half of one alpha."""
    samples = np.empty((SIDE, SIDE, 4), np.uint8)
    samples[:, : SIDE // 2] = (*inside, 255)
    samples[:, SIDE // 2 :] = (*outside, alpha)
    return Picture(Raster(samples if bits == 8 else samples.astype(np.uint16) * 257))


def blended(pixels: Raster, background: int) -> FloatArray:
    """Return the colours [3, H, W] over a grey background, in levels of 8 bits."""
    assert pixels.alpha is not None
    seen: FloatArray = pixels.colour * pixels.alpha * 255 + (1 - pixels.alpha) * background
    return seen


def assert_no_rim(made: Raster, source: Picture, background: int, most: float) -> None:
    """Every pixel lies between both halves as they are seen."""
    halves = blended(source.pixels, background)
    least, largest = halves.min(axis=(1, 2)), halves.max(axis=(1, 2))
    seen = blended(made, background)
    assert (seen.min(axis=(1, 2)) >= least - most).all()
    assert (seen.max(axis=(1, 2)) <= largest + most).all()


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("scale", [2, 3.3])
@pytest.mark.parametrize("name", [None, "anysr-xs", "anysr-s"])
@pytest.mark.parametrize(("inside", "outside", "alpha"), SCENES)
def test_neighbours_of_other_alpha_leave_no_rim(
    inside: Colour, outside: Colour, alpha: int, name: str | None, scale: float, background: int
) -> None:
    source, side = scene(inside, outside, alpha), int(SIDE * scale)
    made = upscale(source, side, side, engine(name), ignore).picture.pixels
    assert_no_rim(made, source, background, RINGING)


@pytest.mark.parametrize("name", [None, "anysr-s"])
@pytest.mark.parametrize("background", [0, 255])
def test_sixteen_bits_leave_no_rim(name: str | None, background: int) -> None:
    source = scene(WHITE, BLACK, 26, bits=16)
    made = upscale(source, 50, 50, engine(name), ignore).picture.pixels
    assert made.bit_depth == 16
    assert_no_rim(made, source, background, RINGING)


@pytest.mark.parametrize("name", [None, "anysr-s"])
def test_grey_with_alpha_leaves_no_rim(name: str | None) -> None:
    source = Picture(Raster(scene(WHITE, BLACK, 26).pixels.samples[:, :, 2:]))
    made = upscale(source, 50, 50, engine(name), ignore).picture.pixels
    assert made.alpha is not None
    seen = made.colour[0] * made.alpha * 255 + (1 - made.alpha) * 255
    assert seen.min() >= 229 - RINGING


@pytest.mark.parametrize("image_format", WITH_ALPHA)
@pytest.mark.parametrize("background", [0, 255])
def test_no_rim_in_any_format(image_format: ImageFormat, background: int) -> None:
    source = scene(WHITE, BLACK, 26)
    made = upscale(source, 50, 50, None, ignore).picture
    back = decode(encode(made, image_format), 10_000).pixels
    loss = 0 if image_format is ImageFormat.PNG else 12
    assert_no_rim(back, source, background, RINGING + loss)


def test_no_rim_when_flattened_to_jpeg() -> None:
    made = upscale(scene(WHITE, BLACK, 26), 50, 50, None, ignore).picture
    back = decode(encode(made, ImageFormat.JPEG), 10_000).pixels
    assert back.samples.min() >= 229 - RINGING - 8


@pytest.mark.parametrize("name", [None, "anysr-s"])
def test_alpha_does_not_ring(name: str | None) -> None:
    """Around an opaque square nothing is seen, and inside it is opaque."""
    samples = np.zeros((SIDE, SIDE, 4), np.uint8)
    samples[8:16, 8:16] = 255
    made = upscale(Picture(Raster(samples)), 72, 72, engine(name), ignore).picture.pixels.samples
    assert (made[:22, :, 3] == 0).all()
    assert (made[26:46, 26:46, 3] == 255).all()


@pytest.mark.parametrize("name", ["anysr-xs", "anysr-s"])
def test_the_networks_colours_stay_where_alpha_is_even(name: str) -> None:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (6, 6, 3), np.uint8)
    colours = coarse.repeat(8, axis=0).repeat(8, axis=1)
    alpha = np.full((48, 48, 1), 255, np.uint8)
    alpha[:, 40:] = 100
    source = Raster(np.concatenate((colours, alpha), axis=2))
    assert needs_weights(source)
    made = upscale(Picture(source), 96, 96, engine(name), ignore).picture.pixels.samples
    alone = upscale(Picture(Raster(colours)), 96, 96, engine(name), ignore).picture.pixels.samples
    assert (made[:, : 2 * (40 - 8), :3] == alone[:, : 2 * (40 - 8)]).all()


def test_one_alpha_beside_hidden_pixels_needs_no_weights() -> None:
    samples = np.zeros((200, 3, 2), np.uint8)
    assert not needs_weights(Raster(samples))
    samples[150:, :, 1] = 9
    assert not needs_weights(Raster(samples))
    samples[180, 1, 1] = 10
    assert needs_weights(Raster(samples))
    assert not needs_weights(Raster(samples[:, :, :1]))
