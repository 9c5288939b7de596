"""Every exactly local network shipped, every width: a tiled photograph equals the untiled one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from models.catalog import SHIPPED, ModelEntry, read_catalog
from models.geometry import output_size
from scheduling.tiling import tiling_of
from tests.workers.workbench import picture_of
from workers.runtimes.onnx import OnnxSession
from workers.upscale import upscale
from workers.zoo import Served

SCALES = ((1.37, 1.37), (2.0, 2.0), (2.37, 2.37), (3.6, 2.9))
SIZES = ((64, 96), (97, 83), (50, 171))
TOLERANCE = 1 / 255


def exactly_local() -> list[str]:
    """One shipped model of every network that is: what a seam shows is the network's reach."""
    known = {str(e.network): e.name for e in reversed(read_catalog().models) if e.halo is not None}
    return list(known.values())


@pytest.fixture(scope="module", params=exactly_local())
def network(request: pytest.FixtureRequest) -> tuple[ModelEntry, OnnxSession]:
    entry = read_catalog().get(request.param)
    return entry, OnnxSession(SHIPPED, entry, threads=2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", SCALES)
def test_tiles_leave_no_seam(
    network: tuple[ModelEntry, OnnxSession], scale: tuple[float, float], size: tuple[int, int]
) -> None:
    entry, session = network
    crop = data.astronaut()[10 : 10 + size[0], 140 : 140 + size[1]]
    picture = picture_of(np.moveaxis(crop, 2, 0).astype(np.float32) / 255)
    target = output_size(size[0], scale[0]), output_size(size[1], scale[1])
    for width in (w.width for w in entry.widths):
        engine = Served(entry, session, tiling_of(entry)).at(width)
        whole = upscale(picture, *target, engine, lambda part: None)
        tiled = upscale(picture, *target, replace(engine, tile_pixels=1200), lambda part: None)
        assert (whole.tiles, tiled.tiles > 4) == (1, True)
        assert (
            np.abs(tiled.picture.pixels.colour - whole.picture.pixels.colour).max() <= TOLERANCE
        ), width
