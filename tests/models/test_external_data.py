"""Graphs that read their weights out of the safetensors file: by name, in part, transposed."""

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from models.catalog import SHIPPED, read_catalog, verified
from models.external_data import COPIED, refer_to

RANDOM = np.random.default_rng(5)
SIDE = 64


def graph_of(**values):
    """A graph that adds up all its initializers, each [64, 64], and its input."""
    tensors = [numpy_helper.from_array(value, name) for name, value in values.items()]
    shape = [SIDE, SIDE]
    return helper.make_graph(
        [helper.make_node("Sum", ["x", *values], ["y"])],
        "sum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        tensors,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_weights_come_out_of_the_file_as_they_were_in_the_graph(tmp_path, dtype):
    stored = {
        "named": RANDOM.standard_normal((SIDE, SIDE)).astype(dtype),
        "sliced": RANDOM.standard_normal((3 * SIDE, SIDE)).astype(dtype),
        "turned": RANDOM.standard_normal((SIDE, SIDE)).astype(dtype),
        "folded": RANDOM.standard_normal((SIDE, SIDE)).astype(dtype),
    }
    weights = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(stored, weights)
    full = {name: values.astype(np.float32) for name, values in stored.items()}
    used = {
        "network.named": full["named"],
        "val_1": full["sliced"][7 : 7 + SIDE],
        "val_2": np.ascontiguousarray(full["turned"].T),
        "val_3": RANDOM.standard_normal((SIDE, SIDE)).astype(np.float32),
        # Under its name in the file, but not what the file has: the exporter folded something in.
        "network.folded": 2 * full["folded"],
    }
    graph = graph_of(**used)
    refer_to(weights, graph)
    outside = {
        t.name.partition(".half")[0].partition(".stored")[0]
        for t in graph.initializer
        if t.external_data
    }
    assert outside == {"network.named", "val_1", "val_2"}
    path = tmp_path / "sum.onnx"
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    assert path.stat().st_size < 2.2 * used["val_3"].nbytes
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    zeros = np.zeros((SIDE, SIDE), np.float32)
    made = session.run(None, {"x": zeros})[0]
    np.testing.assert_allclose(made, sum(used.values()), atol=1e-6)


def test_small_tensors_stay_where_they_are(tmp_path):
    rows = RANDOM.standard_normal((4, SIDE)).astype(np.float32)
    assert rows.size < COPIED
    weights = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({"rows": rows}, weights)
    graph = helper.make_graph([], "none", [], [], [numpy_helper.from_array(rows[:2], "val_1")])
    refer_to(weights, graph)
    assert np.array_equal(numpy_helper.to_array(graph.initializer[0]), rows[:2])


def is_in(stored, values):
    """Whether values are the first rows of a stored tensor."""
    return any(
        tensor.shape[1:] == values.shape[1:] and np.array_equal(tensor[: len(values)], values)
        for tensor in stored
    )


@pytest.mark.parametrize("name", read_catalog().names)
def test_all_widths_read_their_weights_from_one_file(name):
    entry = read_catalog().get(name)
    stored = safetensors.numpy.load_file(verified(SHIPPED, entry.weights)).values()
    for width in entry.widths:
        graph = onnx.load(SHIPPED / width.onnx.file, load_external_data=False).graph
        places = {
            {e.key: e.value for e in t.external_data}["location"]
            for t in graph.initializer
            if t.external_data
        }
        assert places == {entry.weights.file}
        inside = [numpy_helper.to_array(t) for t in graph.initializer if not t.external_data]
        assert sum(values.nbytes for values in inside) < max(0.07 * entry.weights.bytes, 4096)
        large = [values for values in inside if values.size > 8192]
        assert not [v.shape for v in large if is_in(stored, v) or is_in(stored, v.T)]
