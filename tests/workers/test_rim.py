"""Pictures are mirrored beyond their edge; tiles equal the whole to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.picture import FloatArray
from models.geometry import AxisGrid
from scheduling.tiling import Tiling
from tests.support.networks import nearest
from tests.workers.workbench import in_tiles, picture_of
from workers.upscale import Engine, upscale

REACH = 2
"""Input pixels that `Smearing` reads on either side."""


def smeared(planes: FloatArray, reach: int) -> FloatArray:
    """The mean of the pixels around each, with zeros beyond, as convolutions have it."""
    height, width = planes.shape[-2:]
    side = 2 * reach + 1
    padded = np.pad(planes, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    total = np.zeros_like(planes)
    for y in range(side):
        for x in range(side):
            total += padded[:, :, y : y + height, x : x + width]
    return total / np.float32(side**2)


class Smearing:
    """A network that pads with zeros, shades output pixels by their offset, and mixes them with
    `mixing` pixels on either side."""

    def __init__(self, mixing: int = 0) -> None:
        self.mixing = mixing
        self.shown = 0

    def run(
        self, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float = 0.0
    ) -> FloatArray:
        self.shown += image.shape[2] * image.shape[3]
        down, across = rows.offset.flat[rows.index], columns.offset.flat[columns.index]
        found = nearest(smeared(image, REACH), rows, columns)
        shaded = found * (1 + strength * (down[:, None] + across))
        return smeared(shaded.astype(np.float32), self.mixing) if self.mixing else shaded


def ignore(part: float) -> None:
    assert 0 < part <= 1


sides = st.integers(1, 30)


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(sides, sides),
    growth=st.tuples(st.integers(0, 50), st.integers(0, 50)),
    rim=st.integers(1, REACH + 3),
    mixing=st.integers(0, 1),
    tile_pixels=st.integers(1, 200),
)
def test_tiles_equal_the_whole(
    size: tuple[int, int], growth: tuple[int, int], rim: int, mixing: int, tile_pixels: int
) -> None:
    random = np.random.default_rng(size[0])
    picture = picture_of(random.random((3, *size), dtype=np.float32))
    halo = REACH + 3
    # With a strength, so that the offsets count.
    tiling = Tiling(halo, rim=rim, output_halo=mixing)
    engine = Engine(Smearing(mixing), tiling, takes_strength=True)
    target = size[0] + growth[0], size[1] + growth[1]
    whole = upscale(picture, *target, engine, ignore, 0.5)
    tiled = upscale(picture, *target, in_tiles(engine, pixels=tile_pixels), ignore, 0.5)
    assert whole.tiles == 1
    assert (tiled.picture.pixels.colour == whole.picture.pixels.colour).all()


@pytest.mark.parametrize("mixing", [0, 1])
@pytest.mark.parametrize("tile_pixels", [10**6, 150])
def test_with_a_rim_a_flat_picture_stays_flat(mixing: int, tile_pixels: int) -> None:
    colour = np.array([250, 240, 10], np.float32)[:, None, None] / np.float32(255)
    flat = picture_of(np.ascontiguousarray(np.broadcast_to(colour, (3, 20, 23))))
    made = {}
    enough = REACH + mixing
    for rim in (0, enough):
        engine = Engine(Smearing(mixing), Tiling(8, tile_pixels, rim=rim, output_halo=mixing))
        made[rim] = upscale(flat, 47, 60, engine, ignore).picture.pixels.colour
    assert np.abs(made[enough] - colour).max() < 1e-5
    assert np.abs(made[0] - colour).max() > 0.3


def test_beyond_the_picture_lies_its_mirror_image() -> None:
    picture = picture_of(np.random.default_rng(1).random((3, 9, 7), dtype=np.float32))
    seen: list[FloatArray] = []

    class Watching(Smearing):
        def run(self, image, rows, columns, strength=0.0):
            seen.append(image[0])
            return super().run(image, rows, columns, strength)

    upscale(picture, 18, 14, Engine(Watching(), Tiling(4, rim=3)), ignore)
    [image] = seen
    assert image.shape == (3, 15, 13)
    assert (
        image == np.pad(picture.pixels.colour, ((0, 0), (3, 3), (3, 3)), mode="symmetric")
    ).all()
