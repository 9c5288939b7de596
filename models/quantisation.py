"""Trunks in int8: weights and activations in 8 bits, with ranges seen on photographs and drawings.

The graph has ONNX's own form (QuantizeLinear and DequantizeLinear around each convolution) and
still reads its weights from the one safetensors file. An engine with int8 convolutions runs them;
another one computes the same in float32.

- Activations have one range for each channel: it is divided out before the convolution and
  multiplied into the kernel, so that all channels use all 256 levels (the per-channel equalisation
  of Nagel et al., ICCV 2019, and SmoothQuant, Xiao et al., ICML 2023, with all of the range moved).
- The ranges are the largest values seen, in photographs and in drawings (`models.drawn`): with
  those of photographs alone, or with the outermost thousandth left out, hard edges were wrong by
  60 levels of 255.
- Layers that would add more than `MOST_SHARE` of the error stay in float32: those that read the sum
  of many blocks, mostly in the last one.
- The first and the last layer of a trunk stay in float32.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from models.drawn import drawings
from models.photographs import read_photograph
from models.strength import strength_of_quality

FloatArray = NDArray[np.float32]

MOST_SHARE = 0.1
"""Largest share of the mean square error that one layer in int8 may cause."""
SIDE = 96
"""Side of a sample in input pixels."""
SCALES = (1.5, 2.0, 3.0, 4.0)
DRAWINGS = 60
JUDGED = 4
"""Samples, the first of them photographs, that the error of each layer is measured on."""
SMALLEST = 1e-4
"""Least range of a channel, as a part of the widest one's: a dead channel has none."""


@dataclass(frozen=True)
class Sample:
    """The inputs of a trunk: image [1, 3, SIDE, SIDE] in [0, 1] and condition [3]."""

    image: FloatArray
    condition: FloatArray


@dataclass(frozen=True)
class Layer:
    """A convolution that may run in int8, by the names of its tensors."""

    given: str
    kernel: str
    output: str


@dataclass(frozen=True)
class Range:
    """The largest magnitude of each channel [C] of an activation, and whether any is negative."""

    largest: FloatArray
    signed: bool


@dataclass(frozen=True)
class Quantised:
    """A trunk in int8, with the number of its layers that are in int8 and that could be."""

    graph: onnx.ModelProto
    layers: int
    of: int


def samples(photographs: Sequence[Path], seed: int = 0) -> list[Sample]:
    """Return the samples for ranges: one crop of each photograph, shrunk by one of SCALES, every
    third one as a JPEG, and drawings."""
    random = np.random.default_rng(seed)
    found = list(_crops(photographs, random))
    for number, pixels in enumerate(drawings(DRAWINGS, SIDE, seed)):
        strength = 0.5 if number % 3 == 0 else 0.0
        found.append(_sample(pixels, SCALES[number % len(SCALES)], strength))
    return found


def _crops(photographs: Sequence[Path], random: np.random.Generator) -> Iterator[Sample]:
    for number, file in enumerate(photographs):
        scale = SCALES[number % len(SCALES)]
        side = round(SIDE * scale)
        image = Image.fromarray(read_photograph(file))
        if min(image.size) < side:
            continue
        left, top = (int(random.integers(0, n - side + 1)) for n in image.size)
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        strength = 0.0
        if number % 3 == 2:
            quality = int(random.integers(30, 91))
            image, strength = _through_jpeg(image, quality), strength_of_quality(quality)
        yield _sample(np.asarray(image), scale, strength)


def _through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _sample(pixels: NDArray[np.uint8], scale: float, strength: float) -> Sample:
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    image = planes.astype(np.float32) / np.float32(255)
    return Sample(image, np.array([1 / scale, 1 / scale, strength], np.float32))


def quantise(trunk: Path, shown: Sequence[Sample]) -> Quantised:
    """Return a trunk of `models.parts` in int8, with ranges measured on the samples.

    Raises ValueError for a trunk without a layer that can be in int8.
    """
    graph = onnx.load(trunk, load_external_data=False)
    layers = _layers(graph.graph)
    if not layers:
        raise ValueError(f"{trunk.name} has no convolution that could be in int8")
    kernels = _values(trunk, graph, [layer.kernel for layer in layers])
    ranges = _ranges(trunk, graph, layers, shown)
    noise = _noise(trunk, graph, layers, ranges, kernels, shown[:JUDGED])
    total = sum(noise.values())
    chosen = [layer for layer in layers if noise[layer.output] <= MOST_SHARE * total]
    return Quantised(_in_int8(graph, chosen, ranges, kernels), len(chosen), len(layers))


def _layers(graph: onnx.GraphProto) -> list[Layer]:
    """Return the convolutions over several pixels between the first and the last one, in order."""
    convolutions = [node for node in graph.node if node.op_type == "Conv" and _spatial(node)]
    made = [Layer(node.input[0], node.input[1], node.output[0]) for node in convolutions]
    return made[1:-1]


def _spatial(node: onnx.NodeProto) -> bool:
    shapes = (a.ints for a in node.attribute if a.name == "pads")
    return any(any(pads) for pads in shapes)


def _session(graph: onnx.ModelProto, folder: Path) -> onnxruntime.InferenceSession:
    """Return a session of a graph whose weights lie in a folder. int8 is computed in float32."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder.resolve())
    )
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _seen(
    trunk: Path, graph: onnx.ModelProto, names: Sequence[str], sample: Sample | None = None
) -> list[FloatArray]:
    """Return tensors of a graph for a sample; without one, for a black picture."""
    shown = onnx.ModelProto()
    shown.CopyFrom(graph)
    shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = _session(shown, trunk.parent)
    return _run(session, sample or _blank(), names)


def _run(
    session: onnxruntime.InferenceSession, sample: Sample, names: Sequence[str] | None = None
) -> list[FloatArray]:
    feed = {"image": sample.image, "condition": sample.condition}
    found: list[FloatArray] = session.run(names, feed)
    return found


def _blank() -> Sample:
    return _sample(np.zeros((SIDE, SIDE, 3), np.uint8), 1.0, 0.0)


def _values(trunk: Path, graph: onnx.ModelProto, names: Sequence[str]) -> dict[str, FloatArray]:
    return dict(zip(names, _seen(trunk, graph, names), strict=True))


def _ranges(
    trunk: Path, graph: onnx.ModelProto, layers: Sequence[Layer], shown: Sequence[Sample]
) -> dict[str, Range]:
    """Return the ranges of the layers' inputs by name."""
    names = list(dict.fromkeys(layer.given for layer in layers))
    watched = onnx.ModelProto()
    watched.CopyFrom(graph)
    watched.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = _session(watched, trunk.parent)
    largest: dict[str, Any] = dict.fromkeys(names, 0.0)
    lowest = dict.fromkeys(names, 0.0)
    for sample in shown:
        for name, values in zip(names, _run(session, sample, names), strict=True):
            largest[name] = np.maximum(largest[name], np.abs(values).max((0, 2, 3)))
            lowest[name] = min(lowest[name], float(values.min()))
    return {
        name: Range(np.maximum(most, max(SMALLEST * most.max(), 1e-6)), lowest[name] < 0)
        for name, most in largest.items()
    }


def _noise(
    trunk: Path,
    graph: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, Range],
    kernels: Mapping[str, FloatArray],
    shown: Sequence[Sample],
) -> dict[str, float]:
    """Return the mean square error of the output, by layer, with that layer alone in int8."""
    exact = _outputs(graph, trunk.parent, shown)
    noise = {}
    for layer in layers:
        changed = _outputs(_in_int8(graph, [layer], ranges, kernels), trunk.parent, shown)
        errors = (np.square(a - b).mean() for a, b in zip(exact, changed, strict=True))
        noise[layer.output] = float(sum(errors))
    return noise


def _outputs(graph: onnx.ModelProto, folder: Path, shown: Sequence[Sample]) -> list[FloatArray]:
    session = _session(graph, folder)
    return [_run(session, sample)[0] for sample in shown]


def _in_int8(
    graph: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, Range],
    kernels: Mapping[str, FloatArray],
) -> onnx.ModelProto:
    """Return a copy of a graph with some layers in int8."""
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    writer = _Writer(made.graph)
    chosen = {layer.output: layer for layer in layers}
    for node in graph.graph.node:
        layer = chosen.get(node.output[0])
        if layer is None:
            writer.copy(node)
        else:
            writer.layer(node, layer, ranges[layer.given], kernels[layer.kernel])
    return made


class _Writer:
    """Writes the nodes of a graph anew."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._levels: set[str] = set()
        del graph.node[:]

    def copy(self, node: onnx.NodeProto) -> None:
        self._graph.node.append(node)

    def layer(self, node: onnx.NodeProto, layer: Layer, seen: Range, kernel: FloatArray) -> None:
        """Write a convolution with its input and its kernel in 8 bits.

        A channel's step is `largest / top`. All channels are read back with the step of the widest
        one, and the kernel [out, in, 3, 3] is scaled to compensate.
        """
        zero, top = (128, 127) if seen.signed else (0, 255)
        widest = float(seen.largest.max())
        ratio = (seen.largest / widest).astype(np.float32)
        if layer.given not in self._levels:
            self._levels.add(layer.given)
            zeros = np.full(len(ratio), zero, np.uint8)
            self._to_levels(layer.given, seen.largest / top, zeros, axis=1)
            self._from_levels(layer.given, np.float32(widest / top), np.uint8(zero))
        scaled = kernel * ratio[None, :, None, None]
        steps = np.maximum(np.abs(scaled).max((1, 2, 3)) / 127, 1e-9)
        equalised = f"{layer.output}.kernel"
        factor = self._constant(f"{layer.output}.ratio", ratio[None, :, None, None])
        self._add("Mul", [layer.kernel, factor], equalised)
        zeros = np.zeros(len(steps), np.int8)
        self._to_levels(equalised, steps, zeros, axis=0)
        self._from_levels(equalised, steps, zeros, axis=0)
        quantised = onnx.NodeProto()
        quantised.CopyFrom(node)
        quantised.input[0], quantised.input[1] = f"{layer.given}.read", f"{equalised}.read"
        self._graph.node.append(quantised)

    def _to_levels(self, name: str, step: Any, zero: Any, **axis: int) -> None:
        inputs = [name, self._constant(f"{name}.step", step), self._constant(f"{name}.zero", zero)]
        self._add("QuantizeLinear", inputs, f"{name}.levels", **axis)

    def _from_levels(self, name: str, step: Any, zero: Any, **axis: int) -> None:
        inputs = [
            f"{name}.levels",
            self._constant(f"{name}.read_step", step),
            self._constant(f"{name}.read_zero", zero),
        ]
        self._add("DequantizeLinear", inputs, f"{name}.read", **axis)

    def _add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self._graph.node.append(onnx.helper.make_node(operator, inputs, [output], **attributes))

    def _constant(self, name: str, values: Any) -> str:
        array = np.asarray(values)
        kind = array.dtype if array.dtype.kind in "iu" else np.float32
        self._graph.initializer.append(numpy_helper.from_array(array.astype(kind), name))
        return name
