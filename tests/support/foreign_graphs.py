"""Small ONNX upscalers, drawn by hand: what other makers' exports look like from outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from cli.add import entered
from models.catalog import ModelEntry, register
from models.probing.memory import resting_bytes
from models.probing.ports import ports_of
from models.probing.probe import Stated, probe

Dim = int | str


class Graph:
    """A graph in the making: operators in order, each with one output."""

    def __init__(self, shape: Sequence[Dim], half: bool = False) -> None:
        self.kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self._type = np.float16 if half else np.float32
        self._shape = list(shape)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = "input"

    def weight(self, values: Any, kind: type | None = None) -> str:
        """Add a weight, and return its name."""
        name = f"w{len(self.weights)}"
        array: Any = np.asarray(values, kind or self._type)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def then(self, operator: str, *more: str, **attributes: Any) -> Graph:
        """Apply an operator to the last output."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self.last, *more], [name], **attributes))
        self.last = name
        return self

    def convolve(self, kernel: Any, pads: int, bias: Any = None, **attributes: Any) -> Graph:
        """Convolve with a kernel [out, in, k, k]."""
        more = [self.weight(kernel), *([] if bias is None else [self.weight(bias)])]
        return self.then("Conv", *more, pads=[pads] * 4, **attributes)

    def model(self, output: str = "output") -> onnx.ModelProto:
        """Return the model."""
        self.then("Identity")
        self.nodes[-1].output[0] = output
        given = helper.make_tensor_value_info("input", self.kind, self._shape)
        made = helper.make_tensor_value_info(output, self.kind, None)
        graph = helper.make_graph(self.nodes, "drawn", [given], [made], self.weights)
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)


def blur(channels: int, reach: int) -> Any:
    """A kernel of size 2 reach + 1 that sharpens each channel a little."""
    side = 2 * reach + 1
    kernel = np.zeros((channels, channels, side, side))
    for channel in range(channels):
        kernel[channel, channel] = -0.2 / side**2
        kernel[channel, channel, reach, reach] += 1.2
    return kernel


def repeat(channels: int, scale: int) -> Any:
    """A 1 x 1 kernel whose output, shuffled, repeats each pixel; rows differ a little."""
    kernel = np.zeros((channels * scale**2, channels, 1, 1))
    for channel in range(channels):
        for place in range(scale**2):
            kernel[channel * scale**2 + place, channel] = 1 + 0.004 * (place % 3 - 1)
    return kernel


def shuffled(
    scale: int,
    channels: int = 3,
    reach: int = 2,
    sides: tuple[Dim, Dim] = ("h", "w"),
    half: bool = False,
    offset: float = 0.0,
) -> onnx.ModelProto:
    """Sharpen by a convolution of a reach, then repeat pixels by a pixel shuffle. Homogeneous but
    for an `offset`, which fits one range of numbers only."""
    graph = Graph((1, channels, *sides), half)
    graph.convolve(blur(channels, reach), reach)
    if offset:
        graph.then("Add", graph.weight(offset)).then("Clip", graph.weight(0), graph.weight(255))
    graph.convolve(repeat(channels, scale), 0)
    graph.then("DepthToSpace", blocksize=scale, mode="CRD")
    return graph.model()


def unshuffled(scale: int, block: int, swapped: bool = False) -> onnx.ModelProto:
    """Space to depth and back around a convolution, which needs sides that are multiples of a
    block and treats the pixels of a block differently; with `swapped`, red is dampened in a graph
    that counts blue first, in numbers up to 255."""
    graph = Graph((1, 3, "h", "w"))
    if swapped:
        graph.then("Mul", graph.weight(np.reshape([1.0, 1.0, 0.9], (3, 1, 1))))
        graph.then("Clip", graph.weight(0), graph.weight(255))
        graph.then("Add", graph.weight(1.0))
    graph.then("SpaceToDepth", blocksize=block)
    depth = 3 * block**2
    kernel = np.zeros((depth, depth, 3, 3))
    for channel in range(depth):
        kernel[channel, channel, 1, 1] = 0.9 + 0.05 * (channel // 3 % 3)
        kernel[channel, channel, 0, 1] = kernel[channel, channel, 1, 2] = 0.03
    graph.convolve(kernel, 1)
    graph.then("DepthToSpace", blocksize=block, mode="DCR")
    graph.convolve(repeat(3, scale), 0)
    graph.then("DepthToSpace", blocksize=scale, mode="CRD")
    return graph.model()


def cropping(scale: int, reach: int) -> onnx.ModelProto:
    """Convolutions without padding, as waifu2x has: the output lacks `reach` input pixels on each
    side."""
    graph = Graph((1, 3, "h", "w"))
    graph.convolve(blur(3, reach), 0)
    graph.convolve(repeat(3, scale), 0)
    graph.then("DepthToSpace", blocksize=scale, mode="CRD")
    return graph.model()


def attending(scale: int) -> onnx.ModelProto:
    """Every output pixel depends on the mean of the whole picture."""
    graph = Graph((1, 3, "h", "w"))
    graph.then("GlobalAveragePool").then("Mul", graph.weight(0.05))
    pooled = graph.last
    graph.last = "input"
    graph.then("Add", pooled).convolve(repeat(3, scale), 0)
    graph.then("DepthToSpace", blocksize=scale, mode="CRD")
    return graph.model()


def add_in_process(
    folder: Path, name: str, model: onnx.ModelProto, stated: Stated | None = None, **more: Any
) -> ModelEntry:
    """Do what `anysr add` does, without a process of its own; `more` are members of the entry."""
    graph = saved(model, folder / f"{name}.onnx")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    ports = ports_of(session.get_inputs(), session.get_outputs())
    found = probe(
        lambda values: session.run([ports.output], {ports.input: values})[0],
        *(ports, stated or Stated(), 0, resting_bytes(), lambda line: None),
    )
    graph.rename(folder / "found.onnx")
    entry = entered(folder / "found.onnx", folder, name, "Drawn.", "Apache-2.0", found)
    entry = entry.model_copy(update={"in_ladder": False, **more})
    register(folder, entry)
    return entry


def saved(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path
