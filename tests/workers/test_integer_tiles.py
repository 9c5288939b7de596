"""Tiles written as integers equal the rounded whole picture in floats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.picture import FloatArray, Picture, Raster, Samples
from models.geometry import AxisGrid
from scheduling.tiling import Tiling
from tests.support.networks import nearest
from tests.workers.by_planes import apart, made_whole
from workers.upscale import Engine, upscale

Kind = type[np.uint8] | type[np.uint16]
SHADE = 0.25
sides, growths = st.integers(1, 40), st.integers(0, 90)


class Stretching:
    """A network that repeats the nearest input pixel, shaded by the output pixel's offset, with
    values beyond black and white."""

    def run(
        self,
        image: FloatArray,
        rows: AxisGrid,
        columns: AxisGrid,
        strength: float = 0.0,  # noqa: ARG002
    ) -> FloatArray:
        down, across = rows.offset.flat[rows.index], columns.offset.flat[columns.index]
        shade = (1 + SHADE * (down[:, None] + across)).astype(np.float32)
        return (nearest(image, rows, columns) - np.float32(0.1)) * shade * np.float32(1.3)


def drawn(
    random: np.random.Generator, size: tuple[int, int], channels: int, kind: Kind, content: str
) -> Samples:
    """Noise of a content: colours, grey, or grey with channels that are a level of 8 bits apart at
    most; half of it transparent where there is an alpha channel."""
    largest = int(np.iinfo(kind).max)
    samples = random.integers(0, largest, (*size, channels), kind, endpoint=True)
    if content != "colours" and channels > 2:
        level = largest // 255
        tint = random.integers(0, level, (*size, 3), endpoint=True) * (content == "tinted")
        samples[:, :, :3] = np.minimum(samples[:, :, :1], largest - level) + tint
    if channels in (2, 4):
        samples[random.random(size) < 0.5, -1] = 0
    return samples


def ignore(part: float) -> None:
    assert 0 < part <= 1


@settings(deadline=None, max_examples=150)
@given(
    size=st.tuples(sides, sides),
    growth=st.tuples(growths, growths),
    channels=st.integers(1, 4),
    kind=st.sampled_from((np.uint8, np.uint16)),
    content=st.sampled_from(("colours", "grey", "tinted")),
    tile_pixels=st.integers(1, 500),
    seed=st.integers(0, 1000),
)
def test_tiles_of_integers_equal_the_rounded_whole(
    size: tuple[int, int],
    growth: tuple[int, int],
    channels: int,
    kind: Kind,
    content: str,
    tile_pixels: int,
    seed: int,
) -> None:
    samples = drawn(np.random.default_rng(seed), size, channels, kind, content)
    engine = Engine(Stretching(), Tiling(2, tile_pixels, rim=1))
    target = size[0] + growth[0], size[1] + growth[1] + 1
    made = upscale(Picture(Raster(samples)), *target, engine, ignore).picture.pixels.samples
    whole = made_whole(Raster(samples), *target, engine)
    assert (made.shape, made.dtype) == (whole.shape, whole.dtype)
    # Means of hidden neighbours, tints and alpha are sums, which another order rounds otherwise.
    most = 2 if channels in (2, 4) else int(content == "tinted")
    assert apart(made, whole) <= most


@pytest.mark.parametrize("channels", [3, 4])
def test_grey_is_exactly_equal_in_every_tile(channels: int) -> None:
    samples = drawn(np.random.default_rng(1), (40, 50), channels, np.uint8, "grey")
    engine = Engine(Stretching(), Tiling(2, 300))
    made = upscale(Picture(Raster(samples)), 93, 131, engine, ignore)
    assert made.tiles > 4
    assert (np.ptp(made.picture.pixels.samples[:, :, :3], axis=2) == 0).all()
