"""The record of a foreign graph, and how windows are cut for it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.adapters.enlarging import WrongOutput, enlarge
from models.adapters.patches import LEAST_SIDE, Patching
from models.adapters.record import Adapter
from models.adapters.values import FloatArray, from_graph, luma_of, to_graph


def adapter(**fields: Any) -> Adapter:
    return Adapter(**{"input": "x", "output": "y", "scale": 2, "pixel_bytes": 1000, **fields})


@st.composite
def patchings(draw: st.DrawFn) -> Patching:
    multiple, margin = draw(st.sampled_from([1, 2, 3, 4, 8])), draw(st.integers(0, 9))
    overlap = draw(st.integers(margin, 12))
    side = draw(st.one_of(st.just(0), st.integers(2 * overlap + multiple, 64)))
    return Patching(
        multiple, margin, overlap, side, side, foreign=draw(st.booleans()) or margin > 0
    )


@given(patchings(), st.integers(1, 200))
def test_every_pixel_is_kept_once_by_a_patch_that_makes_it(patching: Patching, length: int) -> None:
    patches = patching.rows(length)
    kept = [pixel for patch in patches for pixel in range(*patch.keep)]
    assert kept == list(range(length))
    for patch in patches:
        assert (patch.start + patching.margin) % patching.multiple == 0
        assert patch.length == patching.height or patch.length % patching.multiple == 0
        assert patch.start + patching.margin <= patch.keep[0]
        assert patch.keep[1] <= patch.stop - patching.margin
    for before, after in itertools.pairwise(patches):
        assert before.keep[1] <= before.stop - patching.overlap
        assert after.keep[0] >= after.start + patching.overlap


@given(patchings(), st.integers(1, 40), st.integers(1, 40), st.integers(0, 3))
def test_a_window_in_patches_equals_the_whole(
    patching: Patching, height: int, width: int, seed: int
) -> None:
    """The graph repeats pixels, and crops."""
    crop = 2 * patching.margin
    sides = {"height": patching.height, "width": patching.width} if patching.height >= 8 else {}
    if patching.height and not sides:
        return
    cut = adapter(multiple=patching.multiple, crop=crop, overlap=patching.overlap, **sides)
    image = np.random.default_rng(seed).random((1, 3, height, width), np.float32)

    def run(values: FloatArray) -> FloatArray:
        assert values.shape[2] == patching.height or values.shape[2] % patching.multiple == 0
        larger = values.repeat(2, axis=2).repeat(2, axis=3)
        return larger[:, :, crop : larger.shape[2] - crop, crop : larger.shape[3] - crop]

    expected = image.repeat(2, axis=2).repeat(2, axis=3)
    assert np.array_equal(enlarge(image, cut, run), expected)


def test_a_foreign_graph_sees_no_tiny_window_and_one_of_ours_sees_its_own() -> None:
    assert adapter().patching.rows(3)[0].length == LEAST_SIDE
    assert adapter(multiple=32).patching.rows(3)[0].length == 64
    assert Patching().rows(3)[0].length == 3


def test_numbers_there_and_back() -> None:
    image = np.random.default_rng(0).random((1, 3, 4, 5), np.float32)
    kinds: list[dict[str, Any]] = [
        {},
        {"range": 255.0, "output_range": 255.0},
        {"colours": "bgr", "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)},
        {"colours": "bgr", "range": 255.0, "output_range": 255.0, "mean": (104.0, 117.0, 123.0)},
    ]
    for kind in kinds:
        numbers = adapter(**kind)
        assert np.allclose(from_graph(to_graph(image, numbers), numbers), image, atol=1e-6)
    blue_first = to_graph(image, adapter(colours="bgr", range=255.0, mean=(104.0, 117.0, 123.0)))
    assert np.allclose(blue_first[0, 0], 255 * image[0, 2] - 104, atol=1e-4)


def test_luma_is_that_of_the_standard_and_exact_for_grey() -> None:
    red, green, blue = np.eye(3, dtype=np.float32)[:, None, :, None, None]
    lumas = [float(luma_of(colour)[0, 0, 0, 0]) for colour in (red, green, blue)]
    assert np.allclose(lumas, [0.299, 0.587, 0.114])
    grey = np.full((1, 3, 2, 2), 0.3, np.float32)
    assert np.array_equal(luma_of(grey), grey[:, :1])
    assert to_graph(grey, adapter(colours="y", half=True)).dtype == np.float16


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": 1},
        {"scale": 9},
        {"std": (0.0,)},
        {"mean": (1.0, 2.0)},
        {"colours": "y", "mean": (0.1, 0.2, 0.3)},
        {"range": 0},
        {"multiple": 65},
        {"height": 64, "width": 64, "overlap": 32},
        {"height": 64, "crop": 20, "overlap": 5},
        {"width": 4},
        {"pixel_bytes": 0},
        {"input": ""},
        {"unknown": 1},
    ],
)
def test_impossible_records_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        adapter(**fields)


def test_a_record_survives_the_catalog() -> None:
    one = adapter(height=64, width=48, overlap=9, multiple=2, crop=3)
    assert one.patching.rows(100)[1].start == 44  # used, before it is written
    assert Adapter.model_validate_json(one.model_dump_json()) == one


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (np.zeros((1, 3, 96, 97), np.float32), "not the size of x2"),
        (np.zeros((1, 1, 96, 96), np.float32), "not the size of x2"),
        (np.full((1, 3, 96, 96), np.nan, np.float32), "NaN"),
    ],
)
def test_wrong_outputs_are_refused(made: FloatArray, reason: str) -> None:
    with pytest.raises(WrongOutput, match=reason):
        enlarge(np.zeros((1, 3, 48, 48), np.float32), adapter(), lambda _: made)
