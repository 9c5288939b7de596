"""Every exactly local network shipped, every width: a tiled photograph equals the untiled one.

What can show a seam is how an axis is cut, which is the same for all networks, and how far a graph
reaches, which is the same at every scale and size. So the smallest network of an architecture meets
every pair of a width, a scale and a shape; the others run each width, scale and shape once.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from models.catalog import SHIPPED, ModelEntry, Precision, read_catalog
from models.geometry import output_size
from scheduling.tiling import tiling_of
from tests.workers.workbench import default_entry, in_tiles, picture_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.runtimes.openvino import OpenVinoSession
from workers.upscale import Upscaled, upscale

SCALES = ((1.37, 1.37), (2.0, 2.0), (2.37, 2.37), (3.6, 2.9))
SIZES = ((19, 113), (97, 83), (127, 22))
"""Longer than a tile with its halos, across, both ways, and down."""
TILES = 6
TOLERANCE = 2e-5
"""Far below a level of 8 bits: what lies beyond a halo that is too small adds little."""


def exactly_local() -> list[ModelEntry]:
    """One shipped model of every exactly local network."""
    known = {str(e.network): e for e in reversed(read_catalog().models) if e.halo is not None}
    return sorted(known.values(), key=lambda entry: entry.weights.bytes)


def runs() -> list[tuple[str, float, tuple[float, float], tuple[int, int]]]:
    """(model, width, scale, size): with four widths and scales, sixteen or four of each model."""
    chosen: list[tuple[str, float, tuple[float, float], tuple[int, int]]] = []
    architectures: set[str] = set()
    for entry in exactly_local():
        smallest = entry.network.name not in architectures
        architectures.add(entry.network.name)
        turns = max(len(entry.widths), len(SCALES))
        for w, s in itertools.product(range(turns), range(turns)):
            if smallest or w == s:
                width = entry.widths[w % len(entry.widths)].width
                scale, size = SCALES[s % len(SCALES)], SIZES[(w + s) % len(SIZES)]
                chosen.append((entry.name, width, scale, size))
    return list(dict.fromkeys(chosen))


@functools.lru_cache(1)  # the runs of one model follow each other
def loaded(name: str) -> tuple[ModelEntry, OnnxSession]:
    entry = read_catalog().get(name)
    return entry, OnnxSession(SHIPPED, entry, threads=2)


def test_every_network_runs_each_of_its_widths_each_scale_and_each_size() -> None:
    for entry in exactly_local():
        widths, scales, sizes = zip(*(r[1:] for r in runs() if r[0] == entry.name), strict=True)
        assert set(widths) == {w.width for w in entry.widths}
        assert (set(scales), set(sizes)) == (set(SCALES), set(SIZES))


@pytest.mark.parametrize(("name", "width", "scale", "size"), runs())
def test_tiles_leave_no_seam(
    name: str, width: float, scale: tuple[float, float], size: tuple[int, int]
) -> None:
    entry, session = loaded(name)
    crop = data.astronaut()[10 : 10 + size[0], 140 : 140 + size[1]]
    picture = picture_of(np.moveaxis(crop, 2, 0).astype(np.float32) / 255)
    target = output_size(size[0], scale[0]), output_size(size[1], scale[1])
    engine = LoadedModel(entry, session, tiling_of(entry)).at(width)
    cut = in_tiles(engine, pixels=size[0] * size[1] // TILES)
    whole = upscale(picture, *target, engine, lambda part: None)
    tiled = upscale(picture, *target, cut, lambda part: None)
    assert (whole.tiles, tiled.tiles >= TILES) == (1, True)
    assert apart(whole, tiled) <= TOLERANCE


def apart(one: Upscaled, other: Upscaled) -> float:
    """The largest difference of two pictures, as a part of the range."""
    return float(np.abs(one.picture.pixels.colour - other.picture.pixels.colour).max())


@functools.cache
def openvino(precision: Precision) -> OpenVinoSession:
    return OpenVinoSession(SHIPPED, default_entry(), precision, threads=2)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.INT8])
@settings(max_examples=8, deadline=None)
@given(
    size=st.tuples(st.integers(30, 110), st.integers(90, 120)),
    scale=st.tuples(st.floats(1.1, 4.0), st.floats(1.1, 4.0)),
    width=st.sampled_from([width.width for width in default_entry().widths]),
)
def test_tiles_leave_no_seam_in_openvino(
    precision: Precision, size: tuple[int, int], scale: tuple[float, float], width: float
) -> None:
    """The ladder's default model, at any size and scale."""
    entry = default_entry()
    crop = data.astronaut()[10 : 10 + size[0], 140 : 140 + size[1]]
    picture = picture_of(np.moveaxis(crop, 2, 0).astype(np.float32) / 255)
    target = output_size(size[0], scale[0]), output_size(size[1], scale[1])
    engine = LoadedModel(entry, openvino(precision), tiling_of(entry)).at(width)
    whole = upscale(picture, *target, engine, lambda part: None)
    cut = in_tiles(engine, pixels=size[0] * size[1] // 4)
    tiled = upscale(picture, *target, cut, lambda part: None)
    assert (whole.tiles, tiled.tiles >= 2) == (1, True)
    assert apart(whole, tiled) <= 1 / 255
