"""Export: a trained network to ONNX graphs and TorchScript, checked against the eager network.

One small ONNX graph per width; all of them read their weights, as ONNX external data, from the
one safetensors file, so that a model is stored once whatever its number of widths. TorchScript
takes the number of inner channels as an argument: one file for all widths. Every dimension is
dynamic. An export whose numbers differ from the eager network by more than `TOLERANCE` fails.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from models.architectures.fixed_scale import FixedScale
from models.architectures.network import Grid, Network, grid_for, output_halo_of
from models.catalog import Artifact, ModelEntry, WidthEntry, describe
from models.external_data import refer_to
from models.geometry import AxisGrid, axis_grid, output_size
from models.network_file import network_of, save_network
from models.parts import write_parts
from models.rim import FloatArray, Rim, find_rim
from models.weights_file import Weights, read_weights
from models.whole_file import folder_for

TOLERANCE = 1e-4
"""Largest absolute difference from the eager network, for pictures in [0, 1]."""

DIMENSIONS: dict[str, tuple[str | int, ...]] = {
    "image": ("batch", 3, "height", "width"),
    "inverse_scale": (2,),
    "condition": (3,),
    "row_offset": ("height", "row_slots"),
    "row_index": ("output_height",),
    "column_offset": ("width", "column_slots"),
    "column_index": ("output_width",),
}
ARGUMENTS = ("image", "inverse_scale", "row_offset", "row_index", "column_offset", "column_index")
"""The names of the inputs in `AtWidth.forward`."""
CHECKS = (
    (24, 31, 2.0, 2.0),
    (48, 17, 2.37, 2.37),
    (33, 40, 1.1, 3.9),
    (5, 64, 7.3, 1.0),
    (9, 13, 3.0, 5.0),
)
"""(height, width, scale_h, scale_w) of the comparisons. In the last two an output pixel lies on
the last input pixel's centre."""

DEFAULT_SCALES = (1.1, 4.0)
"""Trained scales of networks of any scale whose weights do not state them."""

CHECKED_STRENGTH = 0.4
"""The strength at which a network that takes one is compared."""

Run = Callable[[Sequence[Tensor]], np.ndarray[Any, np.dtype[np.float32]]]
"""The image and the tensors of `grid_for` -> the output."""


class ExportError(Exception):
    """An artifact cannot be exported, or differs from the network."""


def input_names(network: Network) -> tuple[str, ...]:
    """Return the names of a graph's inputs: the image and the tensors of `grid_for`."""
    scale = "condition" if network.takes_strength else "inverse_scale"
    return ("image", scale, "row_offset", "row_index", "column_offset", "column_index")


class AtWidth(nn.Module):
    """A network at one width; its grid comes as tensors, which are the graph's inputs."""

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
        grid = Grid(inverse_scale, row_offset, row_index, column_offset, column_index)
        output: Tensor = self.network(image, grid, self.channels)
        return output


class AtAnyWidth(nn.Module):
    """A network whose grid comes as tensors: the entry of a TorchScript file."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        image: Tensor,
        inverse_scale: Tensor,
        row_offset: Tensor,
        row_index: Tensor,
        column_offset: Tensor,
        column_index: Tensor,
        channels: int,
    ) -> Tensor:
        grid = Grid(inverse_scale, row_offset, row_index, column_offset, column_index)
        output: Tensor = self.network(image, grid, channels)
        return output


def export_model(
    weights: Path,
    folder: Path,
    name: str,
    description: str,
    torchscript: bool = False,
    half: bool = False,
    widths: Sequence[float] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> ModelEntry:
    """Write NAME.safetensors, NAME-<channels>.onnx, the parts of these (`models.parts`) and, if
    requested, NAME.torchscript.

    With `half` the weights are rounded to float16, which halves the file; the arithmetic stays
    float32. `widths` are the fractions of the full one to export, by default all that the network
    has. Returns the catalog entry, without quality. Raises ExportError if numbers differ,
    ValueError for an unknown width or a name that is no file's, and as `read_weights`; the folder
    is then as it was.
    """
    if Path(name).name != name:
        raise ValueError(f"a model's name is part of the names of its files, unlike {name!r}")
    read = read_weights(weights)
    network = network_of(read)
    if half:
        network.half().float()
    chosen = _chosen(network, widths)
    with _made_beside(folder) as made:
        maker = _Maker(network, made, name, report)
        return maker.entry(read, description, chosen, half, torchscript)


@contextlib.contextmanager
def _made_beside(folder: Path) -> Iterator[Path]:
    """Yield a new folder within `folder`, whose files are moved to it at the end. After a failure
    `folder` is as it was."""
    with folder_for(folder), tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as made:
        yield Path(made)
        for file in sorted(Path(made).iterdir()):
            file.chmod(0o644)
            file.replace(folder / file.name)


@dataclass(frozen=True)
class _Maker:
    """Makes the files of one model in a folder."""

    network: Network
    folder: Path
    name: str
    report: Callable[[str], None]

    def entry(
        self,
        read: Weights,
        description: str,
        chosen: Sequence[int],
        half: bool,
        torchscript: bool,
    ) -> ModelEntry:
        """Write all files of the chosen widths, and return the catalog entry."""
        network = self.network
        fixed = network.scale if isinstance(network, FixedScale) else None
        scales = read.scales or ((fixed, fixed) if fixed else DEFAULT_SCALES)
        save_network(self._path(".safetensors"), read.spec, network, scales, half)
        widths, runs = self._widths(chosen)
        script = self._script(chosen) if torchscript else None
        rim = rim_of(network, runs)
        self.report(
            f"{self.name}: with a rim of {rim.pixels} a flat colour changes by {rim.error:.1f} "
            "levels"
        )
        return ModelEntry(
            name=self.name,
            description=description,
            licence="Apache-2.0",
            network=read.spec,
            min_scale=1.0,
            max_scale=network.max_scale,
            fixed_scale=fixed,
            trained_scales=scales,
            halo=network.halo,
            rim=rim.pixels,
            output_halo=output_halo_of(network),
            tile_output_pixels=network.tile_output_pixels,
            takes_strength=network.takes_strength,
            widths=widths,
            weights=describe(self._path(".safetensors")),
            head=describe(self._head) if widths[-1].trunk is not None else None,
            torchscript=script,
        )

    def _path(self, end: str) -> Path:
        return self.folder / f"{self.name}{end}"

    @property
    def _head(self) -> Path:
        return self._path("-head.onnx")

    def _widths(self, chosen: Sequence[int]) -> tuple[tuple[WidthEntry, ...], list[Run]]:
        """Write and check the graphs of all widths; return their entries, and what runs them."""
        entries, runs = [], []
        for channels in chosen:
            path, trunk = self._path(f"-{channels}.onnx"), self._path(f"-{channels}-trunk.onnx")
            write_onnx(self.network, channels, self._path(".safetensors"), path)
            runs.append(onnx_runner(path))
            worst = check(self.network, channels, runs[-1])
            self.report(f"{path.name}: largest difference from the network {worst:.1e}")
            part = describe(trunk) if write_parts(path, trunk, self._head) else None
            width = channels / self.network.channels
            entries.append(
                WidthEntry(width=width, channels=channels, onnx=describe(path), trunk=part)
            )
        return tuple(entries), runs

    def _script(self, chosen: Sequence[int]) -> Artifact:
        """Write the TorchScript file and check it at all widths."""
        path = self._path(".torchscript")
        write_torchscript(self.network, path)
        for channels in chosen:
            worst = check(self.network, channels, torchscript_runner(path, channels))
            self.report(f"{path.name} at {channels}: largest difference {worst:.1e}")
        return describe(path)


def rim_of(network: Network, runs: Sequence[Run]) -> Rim:
    """Return the rim that a network needs; `runs` run it at its widths (`models.rim`)."""
    strengths = (0.0, 1.0) if network.takes_strength else (0.0,)
    ways = [functools.partial(_on_grid, network, run, s) for run in runs for s in strengths]
    return find_rim(ways, network.max_scale, network.halo, output_halo_of(network))


def _on_grid(
    network: Network,
    run: Run,
    strength: float,
    image: FloatArray,
    rows: AxisGrid,
    columns: AxisGrid,
) -> FloatArray:
    return run(inputs_of(network, image, rows, columns, strength))


def inputs_of(
    network: Network, image: FloatArray, rows: AxisGrid, columns: AxisGrid, strength: float
) -> tuple[Tensor, ...]:
    """Return the arguments of a `Run`: the image and the grid."""
    return torch.from_numpy(image), *grid_for(network, rows, columns, strength=strength)


def _chosen(network: Network, widths: Sequence[float] | None) -> Sequence[int]:
    """Return the channels of the requested widths, narrowest first."""
    if widths is None:
        return network.widths
    known = {channels / network.channels: channels for channels in network.widths}
    unknown = [width for width in widths if width not in known]
    if unknown or not widths:
        has = ", ".join(f"{width:g}" for width in known)
        raise ValueError(f"no width {', '.join(map(str, unknown))}; the network has {has}")
    return sorted({known[width] for width in widths})


def write_onnx(network: Network, channels: int, weights: Path, path: Path) -> None:
    """Write the graph of one width, with its weights left in the safetensors file beside it."""
    # Larger than any window of an attention (48): with a smaller example, the trace would hold only
    # for pictures that fit into one window.
    rows, columns = axis_grid(55, 130), axis_grid(101, 354)
    example = (torch.rand(2, 3, 55, 101), *grid_for(network, rows, columns))
    names = input_names(network)
    auto = torch.export.Dim.AUTO
    dynamic = {
        argument: {i: auto for i, d in enumerate(DIMENSIONS[name]) if isinstance(d, str)}
        for argument, name in zip(ARGUMENTS, names, strict=True)
    }
    with _quiet_exporter(), torch.no_grad():  # with gradients, loops cannot be exported
        program = torch.onnx.export(
            AtWidth(network, channels).eval(),
            example,
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=list(names),
            output_names=["upscaled"],
            verbose=False,
        )
    assert program is not None  # for the type checker: dynamo=True returns a program
    model = program.model_proto
    _name_dimensions(model.graph)
    _strip_traces(model)
    refer_to(weights, model.graph)
    onnx.save(model, path)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hide warnings of torch's exporters about themselves (deprecations, torchvision)."""
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
    """Drop the exporter's source traces, which name files of the exporting machine."""
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


def write_torchscript(network: Network, path: Path) -> None:
    """Write the network as TorchScript; forward(..., channels) takes the inner channels.

    Raises ExportError for a network that TorchScript cannot compile.
    """
    full = path.with_suffix(".partial")
    with _quiet_exporter():
        try:
            scripted = torch.jit.script(AtAnyWidth(network).eval())
        except (RuntimeError, torch.jit.frontend.FrontendError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ExportError(f"TorchScript cannot compile this network: {reason}") from error
        torch.jit.save(scripted, full)
    # The debug entries hold source paths of the exporting machine; nothing needs them.
    with zipfile.ZipFile(full) as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            if not item.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(item.filename), source.read(item))
    full.unlink()


def eager_runner(network: Network, channels: int) -> Run:
    """Return a function that runs the network itself at a width, on the device of its weights."""
    device = next(network.parameters()).device

    def run(tensors: Sequence[Tensor]) -> FloatArray:
        image, *grid = (tensor.to(device) for tensor in tensors)
        with torch.inference_mode():
            output: Tensor = network(image, Grid(*grid), channels)
        return output.cpu().numpy()

    return run


def onnx_runner(path: Path) -> Run:
    """Return a function that runs an ONNX file on a CPU."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(tensors: Sequence[Tensor]) -> np.ndarray[Any, np.dtype[np.float32]]:
        feed = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        output: np.ndarray[Any, np.dtype[np.float32]] = session.run(None, feed)[0]
        return output

    return run


def torchscript_runner(path: Path, channels: int) -> Run:
    """Return a function that runs a TorchScript file on a CPU."""
    with _quiet_exporter():
        module = torch.jit.load(path)  # type: ignore[no-untyped-call]

    def run(tensors: Sequence[Tensor]) -> np.ndarray[Any, np.dtype[np.float32]]:
        with torch.inference_mode():
            output: Tensor = module(*tensors, channels)
        return output.numpy()

    return run


def check(
    network: Network,
    channels: int,
    run: Run,
    sizes: Sequence[tuple[int, int, float, float]] = CHECKS,
) -> float:
    """Return the largest difference between an artifact and the network over `sizes`, with scales
    capped at the network's largest.

    Raises ExportError above `TOLERANCE`.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width, scale_h, scale_w in sizes:
        image = torch.rand(1, 3, height, width, generator=generator)
        rows = axis_grid(height, output_size(height, min(scale_h, network.max_scale)))
        columns = axis_grid(width, output_size(width, min(scale_w, network.max_scale)))
        grid = grid_for(network, rows, columns, strength=CHECKED_STRENGTH)
        with torch.inference_mode():
            expected = network(image, grid, channels).numpy()
        actual = run((image, *grid))
        if actual.shape != expected.shape:
            raise ExportError(f"output is {actual.shape}, must be {expected.shape}")
        # np.maximum, unlike max, propagates NaN.
        worst = float(np.maximum(worst, np.abs(actual - expected).max()))
    if not worst <= TOLERANCE:
        raise ExportError(f"numbers differ by {worst:.1e}, more than {TOLERANCE:.0e}")
    return worst
