"""Graphs in two parts: together they are the whole, and the image's own path is in the head."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from models.catalog import COEFFICIENTS, SHIPPED, read_catalog
from models.geometry import axis_grid
from models.parts import cut

IN_PARTS = [entry.name for entry in read_catalog().models if entry.head is not None]


def test_the_models_of_the_ladder_are_in_parts():
    ladder = {e.name for e in read_catalog().models if e.in_ladder and e.network.name != "plain"}
    assert set(IN_PARTS) == ladder


@pytest.mark.parametrize("name", IN_PARTS)
def test_trunk_and_head_make_what_the_whole_makes(name):
    entry = read_catalog().get(name)
    assert entry.head is not None
    rows, columns = axis_grid(21, 50), axis_grid(34, 39)
    random = np.random.default_rng(0)
    given = {
        "image": random.random((2, 3, 21, 34), dtype=np.float32),
        "condition": np.array([21 / 50, 34 / 39, 0.3], np.float32),
    }
    grid = {
        "row_offset": rows.offset,
        "row_index": rows.index,
        "column_offset": columns.offset,
        "column_index": columns.index,
    }
    head = onnxruntime.InferenceSession(SHIPPED / entry.head.file)
    for width in entry.widths:
        assert width.trunk is not None
        whole = onnxruntime.InferenceSession(SHIPPED / width.onnx.file)
        trunk = onnxruntime.InferenceSession(SHIPPED / width.trunk.file)
        (expected,) = whole.run(None, {**given, **grid})
        (coefficients,) = trunk.run(None, given)
        (made,) = head.run(None, {COEFFICIENTS: coefficients, **given, **grid})
        assert np.abs(made - expected).max() < 1e-5
        (unaided,) = head.run(None, {COEFFICIENTS: 0 * coefficients, **given, **grid})
        assert 0.001 < np.abs(unaided - expected).mean() < 0.2  # the image passes through the head


@pytest.mark.parametrize("name", ["anysr-xs", "anysr-edsr-srno"])
def test_a_network_without_a_cut_is_left_whole(name):
    entry = read_catalog().get(name)
    graph = onnx.load(SHIPPED / entry.widths[0].onnx.file, load_external_data=False)
    assert cut(graph) is None
    assert entry.head is None
