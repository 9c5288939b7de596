"""Export: a trained network to ONNX graphs and TorchScript, checked against the eager network.

One small ONNX graph per width; all of them read their weights, as ONNX external data, from the
one safetensors file, so that a model is stored once whatever its number of widths. TorchScript
takes the number of inner channels as an argument: one file for all widths. Every dimension is
dynamic. An export whose numbers differ from the eager network by more than `TOLERANCE` fails.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import safetensors.numpy
import torch
from onnx import TensorProto
from torch import Tensor, nn

from models.architectures.fixed_scale import FixedScale
from models.architectures.network import Network, grid_tensors
from models.catalog import ModelEntry, NetworkEntry, WidthEntry, describe
from models.checkpoint import load_network, save_network, trained_scales
from models.geometry import AxisGrid, axis_grid, output_size

TOLERANCE = 1e-4
"""Largest absolute difference from the eager network, for pictures in [0, 1]."""

INPUTS = ("image", "inverse_scale", "row_offset", "row_index", "column_offset", "column_index")
DIMENSIONS: dict[str, tuple[str | int, ...]] = {
    "image": ("batch", 3, "height", "width"),
    "inverse_scale": (2,),
    "row_offset": ("height", "row_slots"),
    "row_index": ("output_height",),
    "column_offset": ("width", "column_slots"),
    "column_index": ("output_width",),
}
CHECKS = ((24, 31, 2.0, 2.0), (48, 17, 2.37, 2.37), (33, 40, 1.1, 3.9), (5, 64, 7.3, 1.0))
"""(height, width, scale_h, scale_w) at which an export is compared."""

UNTOLD_SCALES = (1.1, 4.0)
"""What networks of any scale were trained at whose weights do not say it."""

COPIED = 1024
"""Numbers from which on a copy of weights in a graph is looked for in the weights file."""

Run = Callable[[Tensor, AxisGrid, AxisGrid], np.ndarray[Any, np.dtype[np.float32]]]


class ExportError(Exception):
    """An exported artifact does not compute what the network computes."""


class AtWidth(nn.Module):
    """A network with its number of inner channels fixed."""

    def __init__(self, network: Network, channels: int) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(
        self,
        image: Tensor,
        inverse_scale: Tensor,
        row_offset: Tensor,
        row_index: Tensor,
        column_offset: Tensor,
        column_index: Tensor,
    ) -> Tensor:
        output: Tensor = self.network(
            image,
            inverse_scale,
            row_offset,
            row_index,
            column_offset,
            column_index,
            self.channels,
        )
        return output


def export_model(
    weights: Path,
    folder: Path,
    name: str,
    description: str,
    torchscript: bool = False,
    half: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> ModelEntry:
    """Write NAME.safetensors, NAME-<channels>.onnx and, if asked, NAME.torchscript.

    With `half` the weights are rounded to float16, which halves the file; the arithmetic stays
    float32. Returns the catalog entry, without quality. Raises ExportError when numbers differ.
    """
    spec, network = load_network(weights)
    if half:
        network.half().float()
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / f"{name}.safetensors"
    fixed = network.scale if isinstance(network, FixedScale) else None
    scales = trained_scales(weights) or ((fixed, fixed) if fixed else UNTOLD_SCALES)
    save_network(stored, spec, network, scales, half)
    widths = []
    for channels in network.widths:
        path = folder / f"{name}-{channels}.onnx"
        write_onnx(network, channels, stored, path)
        worst = check(network, channels, onnx_runner(path))
        report(f"{path.name}: largest difference from the network {worst:.1e}")
        fraction = channels / network.channels
        widths.append(WidthEntry(width=fraction, channels=channels, onnx=describe(path)))
    script = folder / f"{name}.torchscript" if torchscript else None
    if script is not None:
        write_torchscript(network, script)
        for channels in network.widths:
            worst = check(network, channels, torchscript_runner(script, channels))
            report(f"{script.name} at {channels}: largest difference {worst:.1e}")
    return ModelEntry(
        name=name,
        description=description,
        licence="Apache-2.0",
        network=NetworkEntry(name=spec.name, args=dict(spec.args)),
        min_scale=1.0,
        max_scale=network.max_scale,
        fixed_scale=fixed,
        trained_scales=scales,
        halo=network.halo,
        tile_output_pixels=network.tile_output_pixels,
        widths=tuple(widths),
        weights=describe(stored),
        torchscript=describe(script) if script is not None else None,
    )


def write_onnx(network: Network, channels: int, weights: Path, path: Path) -> None:
    """Write the graph of one width, with its weights left in the safetensors file beside it."""
    # Larger than any window of an attention (48): what fits in one is traced as if all did.
    example = (torch.rand(2, 3, 55, 101), *grid_tensors(axis_grid(55, 130), axis_grid(101, 354)))
    auto = torch.export.Dim.AUTO
    dynamic = {
        name: {i: auto for i, d in enumerate(dims) if isinstance(d, str)}
        for name, dims in DIMENSIONS.items()
    }
    with _quiet_exporter(), torch.no_grad():  # with gradients, loops cannot be exported
        program = torch.onnx.export(
            AtWidth(network, channels).eval(),
            example,
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=list(INPUTS),
            output_names=["upscaled"],
            verbose=False,
        )
    assert program is not None  # for the type checker: dynamo=True returns a program
    model = program.model_proto
    _name_dimensions(model.graph)
    _strip_traces(model)
    _refer_to(weights, model.graph)
    onnx.save(model, path)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide what torch's exporters say of their own insides (deprecations, torchvision)."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_dimensions(graph: onnx.GraphProto) -> None:
    for value in graph.input:
        for dim, name in zip(value.type.tensor_type.shape.dim, DIMENSIONS[value.name], strict=True):
            if isinstance(name, str):
                dim.dim_param = name
    output = graph.output[0].type.tensor_type.shape
    for place, axis in ((0, "batch"), (2, "output_height"), (3, "output_width")):
        output.dim[place].dim_param = axis


def _strip_traces(model: onnx.ModelProto) -> None:
    """Drop the exporter's source traces: they name files of the exporting machine."""
    del model.metadata_props[:]
    model.doc_string = ""
    _strip_graph(model.graph)


def _strip_graph(graph: onnx.GraphProto) -> None:
    del graph.metadata_props[:]
    graph.doc_string = ""
    del graph.value_info[:]
    for item in (*graph.node, *graph.input, *graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:  # the body of a loop
                _strip_graph(attribute.g)


def _refer_to(weights: Path, graph: onnx.GraphProto) -> None:
    """Replace every initializer that is a tensor of the weights file, or rows of one, or the
    transpose of that, by a reference to it. Where the file has it as float16 or as it was before
    it was transposed, a node makes it what it was: the runtime does that once, at loading."""
    places = _places(weights)
    for tensor in graph.initializer:
        place = places.get(tensor.name.removeprefix("network."))
        transposed = False
        if place is None:
            found = _rows_among(onnx.numpy_helper.to_array(tensor), places.values())
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


def write_torchscript(network: Network, path: Path) -> None:
    """Write the network as TorchScript; forward(..., channels) takes the inner channels.

    Raises ExportError for a network that TorchScript cannot say.
    """
    full = path.with_suffix(".partial")
    with _quiet_exporter():
        try:
            scripted = torch.jit.script(network.eval())
        except (RuntimeError, torch.jit.frontend.FrontendError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ExportError(f"TorchScript cannot say this network: {reason}") from error
        torch.jit.save(scripted, full)
    # The debug entries hold the source paths of the exporting machine; nothing needs them.
    with zipfile.ZipFile(full) as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            if not item.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(item.filename), source.read(item))
    full.unlink()


def onnx_runner(path: Path) -> Run:
    """Return a function that runs an ONNX file on a CPU."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(
        image: Tensor, rows: AxisGrid, columns: AxisGrid
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        tensors = (image, *grid_tensors(rows, columns))
        feed = {name: tensor.numpy() for name, tensor in zip(INPUTS, tensors, strict=True)}
        output: np.ndarray[Any, np.dtype[np.float32]] = session.run(None, feed)[0]
        return output

    return run


def torchscript_runner(path: Path, channels: int) -> Run:
    """Return a function that runs a TorchScript file on a CPU."""
    with _quiet_exporter():
        module = torch.jit.load(path)  # type: ignore[no-untyped-call]

    def run(
        image: Tensor, rows: AxisGrid, columns: AxisGrid
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        with torch.inference_mode():
            output: Tensor = module(image, *grid_tensors(rows, columns), channels)
        return output.numpy()

    return run


def check(
    network: Network,
    channels: int,
    run: Run,
    sizes: Sequence[tuple[int, int, float, float]] = CHECKS,
) -> float:
    """Return the largest difference between an artifact and the network over `sizes`, none
    beyond the network's largest scale.

    Raises ExportError above `TOLERANCE`.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width, scale_h, scale_w in sizes:
        image = torch.rand(1, 3, height, width, generator=generator)
        rows = axis_grid(height, output_size(height, min(scale_h, network.max_scale)))
        columns = axis_grid(width, output_size(width, min(scale_w, network.max_scale)))
        with torch.inference_mode():
            expected = network(image, *grid_tensors(rows, columns), channels).numpy()
        actual = run(image, rows, columns)
        if actual.shape != expected.shape:
            raise ExportError(f"output is {actual.shape}, must be {expected.shape}")
        # np.maximum, unlike max, hands a NaN on.
        worst = float(np.maximum(worst, np.abs(actual - expected).max()))
    if not worst <= TOLERANCE:
        raise ExportError(f"numbers differ by {worst:.1e}, more than {TOLERANCE:.0e}")
    return worst
