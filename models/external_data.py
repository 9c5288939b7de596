"""ONNX external data: a graph's weights are read out of the safetensors file that holds them.

The exporter copies weights, some of them in part or transposed; whatever is found in the file is
left out of the graph, so that a model is stored once whatever its number of widths.
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
"""Numbers from which on a copy of weights in a graph is looked for in the weights file."""


def refer_to(weights: Path, graph: onnx.GraphProto) -> None:
    """Replace every initializer that is a tensor of the weights file, or rows of one, or the
    transpose of that, by a reference to it. Where the file has it as float16 or as it was before
    it was transposed, a node makes it what it was: the runtime does that once, at loading."""
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
    """Put nodes at the start of the graph that make, of what is stored, what had its name."""
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
    """Return where values that the exporter copied lie in the file: as they are, or transposed."""
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
    """Where a tensor's bytes lie in a weights file, and what they say."""

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
    """Return where each tensor lies in a safetensors file (its format: an 8-byte little-endian
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
