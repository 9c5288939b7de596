"""Every shipped network at every width keeps a flat colour, also at edges and corners."""

from __future__ import annotations

import numpy as np
import pytest

from images.picture import FloatArray
from models.catalog import SHIPPED, ModelEntry, read_catalog
from models.geometry import output_size
from scheduling.tiling import tiling_of
from tests.workers.workbench import picture_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import upscale

COLOURS = ((250, 240, 10), (200, 60, 30))
SIZE = (14, 17)
SCALE = 1.83
"""A real one that networks of every fixed scale offer."""
LEVELS = 2
"""Of 8 bits, as the picture is written."""
WEAK = {"anysr-edsr-metasr": 5}
"""Networks that are off by more with these colours even far from any edge, which no rim mends."""


@pytest.fixture(scope="module", params=read_catalog().names)
def served(request: pytest.FixtureRequest) -> LoadedModel:
    entry: ModelEntry = read_catalog().get(request.param)
    return LoadedModel(entry, OnnxSession(SHIPPED, entry, threads=1), tiling_of(entry))


def made_of(flat: FloatArray, served: LoadedModel, width: float) -> FloatArray:
    picture = picture_of(np.ascontiguousarray(np.broadcast_to(flat, (3, *SIZE))))
    target = output_size(SIZE[0], SCALE), output_size(SIZE[1], SCALE)
    return upscale(picture, *target, served.at(width), lambda part: None).picture.pixels.colour


@pytest.mark.parametrize("colour", COLOURS)
def test_a_flat_colour_is_kept(served: LoadedModel, colour: tuple[int, int, int]) -> None:
    levels = np.array(colour)[:, None, None]
    off = {}
    for width in (entry.width for entry in served.entry.widths):
        made = made_of(levels.astype(np.float32) / np.float32(255), served, width)
        off[width] = int(np.abs(np.rint(made * 255) - levels).max())
    assert max(off.values()) <= WEAK.get(served.entry.name, LEVELS), off
