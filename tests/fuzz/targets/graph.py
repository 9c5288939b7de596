"""A foreign ONNX graph (`models.probing.graph_file`): whole, of known operators, or refused."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from onnx import TensorProto

from models.probing.graph_file import DOMAINS, parameters_of, parsed
from models.probing.refusal import NotServable
from tests.fuzz.target import Target, read_or_refused
from tests.support.foreign_graphs import shuffled


@functools.cache
def _folder() -> Path:
    """Return a folder with nothing in it: every file that a graph names is missing or outside."""
    return Path(tempfile.mkdtemp(prefix="anysr-fuzz-"))


def run(data: bytes) -> None:
    """Read a graph as `anysr add` does before it runs it."""
    model = read_or_refused(lambda: parsed(data, _folder() / "graph.onnx"), (NotServable,))
    if model is None:
        return
    assert parameters_of(model) >= 0
    assert all(not t.external_data for t in model.graph.initializer if t.data_location)
    own = {function.domain for function in model.functions}
    assert all(node.domain in {*DOMAINS, *own} for node in model.graph.node)


def seeds() -> list[bytes]:
    """Return small graphs: one whole, one with a weight in another file, and one with a custom
    operator."""
    whole, outside, custom = shuffled(2, reach=1), shuffled(2, reach=1), shuffled(2, reach=1)
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")
    custom.graph.node[0].domain = "elsewhere"
    return [model.SerializeToString() for model in (whole, outside, custom)]


TARGET = Target(run, seeds, longest=8192)
