"""Trunks in bfloat16: two parts hold 16 bits, and split convolutions compute what plain ones do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import openvino
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openvino import opset13 as ops

from models.catalog import SHIPPED, ModelEntry, Precision, WidthEntry, read_catalog
from models.geometry import axis_grid
from tests.workers.test_runtimes import noise
from workers.backends import check_against_float32
from workers.runtimes import openvino as runtime
from workers.runtimes.base import RuntimeMissing, inputs_of
from workers.runtimes.bfloat16 import FloatArray, rounded, split_ends, split_image
from workers.runtimes.onnx import OnnxSession

NORMAL = st.floats(2.0**-100, 2.0**30, width=32)
FINITE = st.one_of(st.just(0.0), NORMAL, NORMAL.map(lambda value: -value))
LEVEL = st.floats(0, 1, width=32, allow_subnormal=False)  # runtimes flush subnormals to zero
LADDER = [entry for entry in read_catalog().models if entry.head is not None]


@given(FINITE)
def test_a_rounded_number_is_the_nearest_bfloat16(value: float) -> None:
    made = float(rounded(np.array([value], np.float32))[0])
    step = 2.0 ** (math.frexp(value)[1] - 8)
    assert made == float(np.rint(value / step)) * step  # ties to even


@given(st.lists(LEVEL, min_size=3, max_size=3), LEVEL)
def test_the_parts_of_an_image_add_up_to_it_less_its_mean(pixel: list[float], mean: float) -> None:
    image = np.array(pixel, np.float32).reshape(1, 3, 1, 1)
    parts = split_image(image, mean)
    assert parts.shape == (1, 9, 1, 1)
    assert (rounded(parts) == parts).all()
    assert (parts[:, :3] == parts[:, 6:]).all()
    error = np.abs(parts[:, :3] + parts[:, 3:6] - (image - np.float32(mean)))
    assert (error <= 2.0**-16 * np.abs(image - np.float32(mean))).all()


def trunk(width: WidthEntry) -> openvino.Model:
    assert width.trunk is not None
    return openvino.Core().read_model(SHIPPED / width.trunk.file)


def in_float32(model: openvino.Model, feed: dict[str, Any]) -> FloatArray:
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = {name.any_name for name in compiled.inputs}
    made: FloatArray = compiled({name: feed[name] for name in feed if name in names})[0]
    return made.copy()


@pytest.mark.parametrize("entry", LADDER, ids=lambda entry: entry.name)
def test_a_split_trunk_computes_what_the_plain_one_does(entry: ModelEntry) -> None:
    width = entry.widths[0]
    grid = axis_grid(20, 47)
    feed = inputs_of(entry, noise(2, 3, 20, 20), grid, grid, 0.4)
    expected = in_float32(trunk(width), feed)
    split = trunk(width)
    mean = split_ends(split)
    assert mean is not None
    made = in_float32(split, {**feed, "image": split_image(feed["image"], mean)})
    # 16 bits of each factor.
    assert np.abs(made - expected).max() < 2**-14 * np.abs(expected).max()


def test_a_trunk_of_another_form_stays_as_it_is() -> None:
    image = ops.parameter([1, 3, -1, -1], np.float32, "image")
    model = openvino.Model([ops.relu(image)], [image], "other")
    assert split_ends(model) is None
    assert {one.get_type_name() for one in model.get_ops()} == {"Parameter", "Relu", "Result"}


@pytest.mark.parametrize("entry", LADDER, ids=lambda entry: entry.name)
def test_the_shipped_networks_pass_their_own_check(entry: ModelEntry) -> None:
    try:
        runtime.require(Precision.BFLOAT16)
    except RuntimeMissing as error:
        pytest.skip(str(error))
    made = runtime.OpenVinoSession(SHIPPED, entry, Precision.BFLOAT16, threads=1)
    check_against_float32(entry, made, OnnxSession(SHIPPED, entry, threads=1), Precision.BFLOAT16)
