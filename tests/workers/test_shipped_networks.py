"""Every shipped network at every width: golden outputs, and flat colours that stay flat."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models.catalog import read_catalog
from models.geometry import output_size
from tests.workers.golden import FILE, SCALE, SIZE, golden_of, key_of, loaded, upscaled
from workers.loaded_model import LoadedModel

COLOURS = ((250, 240, 10), (200, 60, 30))
LEVELS = 2
"""Of 8 bits, as the picture is written."""
WEAK = {"anysr-edsr-metasr": 5}
"""Networks that are off by more with these colours even far from any edge, which no rim mends."""
GOLDEN = json.loads(FILE.read_text())
ROUNDED = 0.1
"""Levels by which the mean of a row may differ between processors."""


@pytest.fixture(scope="module", params=read_catalog().names)
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded(request.param)


def test_the_output_is_the_golden_one(model: LoadedModel) -> None:
    for entry in model.entry.widths:
        expected = GOLDEN[key_of(model, entry.width)]
        actual = golden_of(model, entry.width)
        if actual["sha256"] != expected["sha256"]:
            columns = output_size(SIZE[1], SCALE)
            off = np.abs(np.array(actual["rows"]) - np.array(expected["rows"])).max() / columns
            assert off <= ROUNDED, key_of(model, entry.width)


def test_every_golden_output_is_of_a_shipped_width() -> None:
    catalog = read_catalog()
    shipped = {f"{m.name}@{w.width:g}" for m in catalog.models for w in m.widths}
    assert set(GOLDEN) == shipped


@pytest.mark.parametrize("colour", COLOURS)
def test_a_flat_colour_stays_what_it_is(model: LoadedModel, colour: tuple[int, int, int]) -> None:
    levels = np.array(colour)[:, None, None]
    flat = np.broadcast_to(levels.astype(np.float32) / np.float32(255), (3, *SIZE))
    off = {}
    for width in (entry.width for entry in model.entry.widths):
        made = upscaled(np.ascontiguousarray(flat), model, width)
        off[width] = int(np.abs(np.rint(made * 255) - levels).max())
    assert max(off.values()) <= WEAK.get(model.entry.name, LEVELS), off
