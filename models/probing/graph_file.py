"""An ONNX file of foreign origin: bounded, checked, and made independent of other files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto

from models.probing.refusal import NotServable

MOST_BYTES = 1 << 30
"""Of a graph with its weights: a protobuf holds at most twice as much."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Of operators that ONNX Runtime itself has."""


def read_graph(path: Path) -> onnx.ModelProto:
    """Return a graph with its weights inside. Weights in other files must lie in the graph's own
    folder. Raises NotServable, and OSError for an unreadable file."""
    if path.stat().st_size > MOST_BYTES:
        raise NotServable(f"{path.name} has more than {MOST_BYTES >> 20} MiB.")
    return parsed(path.read_bytes(), path)


def parsed(data: bytes, path: Path) -> onnx.ModelProto:
    """Return the graph in the content of a file, as `read_graph` does."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise NotServable(f"{path.name} is no ONNX file.") from None
    if not model.HasField("graph") or not model.graph.node:
        raise NotServable(f"{path.name} is no ONNX file: it has no graph.")
    _refuse_custom_operators(model)
    _take_in(model, path.parent)
    return model


def parameters_of(model: onnx.ModelProto) -> int:
    """Return how many numbers the weights of a graph have."""
    return sum(_count(tensor) for tensor in model.graph.initializer)


def _count(tensor: TensorProto) -> int:
    count = 1
    for side in tensor.dims:
        count *= max(0, side)
    return count


def _refuse_custom_operators(model: onnx.ModelProto) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for node in _nodes(model):
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own:
            operator = f"{node.domain}.{node.op_type}"[:80]
            raise NotServable(f"It needs the operator {operator}, which ONNX Runtime has not.")


def _take_in(model: onnx.ModelProto, folder: Path) -> None:
    """Read weights that lie in other files into the graph."""
    left = MOST_BYTES - model.ByteSize()
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        data = _external(tensor, folder, left)
        left -= len(data)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data


def _external(tensor: TensorProto, folder: Path, most: int) -> bytes:
    place = {entry.key: entry.value for entry in tensor.external_data}
    name = place.get("location", "")
    try:
        offset, length = int(place.get("offset", 0)), int(place.get("length", -1))
    except ValueError:
        raise NotServable(f"Its weights name no place in {name[:80]!r}.") from None
    path = _inside(folder, name)
    try:
        held = path.stat().st_size
        length = held - offset if length < 0 else length
        if not 0 <= offset <= offset + length <= held:
            raise NotServable(f"Its weights lie beyond the end of {name[:80]}.")
        if length > most:
            raise NotServable(f"Its weights have more than {MOST_BYTES >> 20} MiB.")
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        reason = error.strerror
        raise NotServable(f"Its weights in {name[:80]} cannot be read: {reason}.") from None


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a file of weights, which must lie in the folder, links followed."""
    root = folder.resolve()
    try:
        path = (root / name).resolve()
    except (TypeError, ValueError, RuntimeError, OSError):  # no UTF-8, a null, a loop of links
        path = root
    if path == root or not path.is_relative_to(root):
        raise NotServable(f"Its weights lie in {name[:80]!r}, outside the folder of the graph.")
    return path


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield a graph, and those in its nodes."""
    yield graph
    yield from _below(graph.node)


def _below(nodes: list[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.type == AttributeProto.GRAPH else []
            for graph in (*inner, *attribute.graphs):
                yield from _graphs(graph)


def _nodes(model: onnx.ModelProto) -> Iterator[NodeProto]:
    for graph in _all_graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _all_graphs(model: onnx.ModelProto) -> Iterator[GraphProto]:
    yield from _graphs(model.graph)
    functions: list[FunctionProto] = list(model.functions)
    for function in functions:
        yield from _below(function.node)


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    for graph in _all_graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            sparse_tensors = list(attribute.sparse_tensors)
            if attribute.type == AttributeProto.SPARSE_TENSOR:
                sparse_tensors.append(attribute.sparse_tensor)
            for sparse in sparse_tensors:
                yield from (sparse.values, sparse.indices)
