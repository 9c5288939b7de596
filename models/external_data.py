"""ONNX external data: graphs read their weights from the model's safetensors file.

The exporter copies weights, some of them in part or transposed. Copies of tensors in the file are
replaced by references, so that weights are stored once for any number of widths.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
from onnx import TensorProto

COPIED = 1024
"""Least size of a constant, in numbers, that is searched for in the weights file."""


def refer_to(weights: Path, graph: onnx.GraphProto) -> None:
    """Replace every initializer that equals a tensor of the weights file, rows of one, or their
    transpose, by a reference to it. Nodes cast float16 to float32 and transpose where needed; the
    runtime folds them when it loads the graph."""
    places = _places(weights)
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        place = places.get(tensor.name.removeprefix("network."))
        transposed = False
        # The exporter folds a normalisation into the convolution before it, under the old name.
        if place is None or not np.array_equal(place.values, values):
            found = _rows_among(values, places.values())
            if found is None:
                continue
            place, transposed = found
        _point_at(place, weights.name, tensor)
        steps: list[tuple[str, dict[str, Any]]] = []
        if place.half:
            tensor.data_type = TensorProto.FLOAT16
            steps.append(("Cast", {"to": TensorProto.FLOAT}))
        if transposed:
            tensor.dims[:] = list(reversed(tensor.dims))
            steps.append(("Transpose", {"perm": [1, 0]}))
        _make_from(graph, tensor, steps)


def _point_at(place: _Place, file: str, tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in {"location": file, "offset": place.start, "length": place.length}.items():
        tensor.external_data.add(key=key, value=str(value))


def _make_from(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, steps: Sequence[tuple[str, dict[str, Any]]]
) -> None:
    """Insert nodes at the start of the graph that compute a tensor from its stored form."""
    if not steps:
        return
    wanted = tensor.name
    tensor.name = f"{wanted}.half" if steps[0][0] == "Cast" else f"{wanted}.stored"
    names = [tensor.name, *(f"{wanted}.{n}" for n in range(1, len(steps))), wanted]
    for number, (operator, attributes) in enumerate(steps):
        given, made = names[number : number + 2]
        graph.node.insert(number, onnx.helper.make_node(operator, [given], [made], **attributes))


def _rows_among(
    values: np.ndarray[Any, Any], places: Iterable[_Place]
) -> tuple[_Place, bool] | None:
    """Return the place in the file of values that the exporter copied, and whether transposed."""
    if values.dtype != np.float32 or values.size < COPIED or not values.ndim:
        return None
    forms = [(values, False), *([(values.T, True)] if values.ndim == 2 else [])]
    for place in places:
        for form, transposed in forms:
            rows = place.rows(form)
            if rows is not None:
                return rows, transposed
    return None


@dataclass(frozen=True)
class _Place:
    """The place of a tensor's bytes in a weights file, and its values."""

    start: int
    length: int
    half: bool
    values: np.ndarray[Any, Any]

    def rows(self, values: np.ndarray[Any, Any]) -> _Place | None:
        """Return the place of the rows that equal `values`; None where there are none."""
        mine, count = self.values, len(values)
        if mine.ndim != values.ndim or mine.shape[1:] != values.shape[1:] or len(mine) < count:
            return None
        like = (mine.reshape(len(mine), -1) == values[0].reshape(1, -1)).all(1)
        for first in np.flatnonzero(like[: len(mine) - count + 1]):
            if np.array_equal(mine[first : first + count], values):
                row = self.length // len(mine)
                start, length = self.start + int(first) * row, count * row
                return _Place(start, length, self.half, mine[first : first + count])
        return None


def _places(path: Path) -> dict[str, _Place]:
    """Return the place of each tensor in a safetensors file (its format: an 8-byte little-endian
    header length, a JSON header, the data)."""
    values = safetensors.numpy.load_file(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    places = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            half = entry["dtype"] == "F16"
            places[name] = _Place(8 + length + start, stop - start, half, values[name])
    return places
