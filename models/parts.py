"""A graph cut at the end of its trunk, so that the trunk alone can run in low precision.

The trunk computes the head's coefficients at the input's resolution, with nearly all of the
arithmetic; the head adds the image's own contribution and produces the output. The trunk's error in
bfloat16 or int8 affects only a small correction, while the image's own path, where every level
counts, stays in float32 (`anysr bench engines` measures both).
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto
from onnx.utils import Extractor

from models.catalog import COEFFICIENTS

KERNEL = "network.head.coefficients.weight"
"""The kernel of the convolution whose output is COEFFICIENTS."""
IMAGE_PATH = "network.head.skip.weight"
"""A head without this kernel cannot be cut off: its image passes through the trunk."""


def cut(whole: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto] | None:
    """Return the trunk and the head of a model's graph; None for a network that cannot be cut.

    The trunk has the graph's inputs for the image and the condition, and one output,
    COEFFICIENTS [batch, basis * basis * 3, height, width], which is a further input of the head.
    External weights stay in their file.
    """
    ends = [node for node in whole.graph.node if KERNEL in node.input]
    direct = any(IMAGE_PATH in node.input for node in whole.graph.node)
    if len(ends) != 1 or not direct:
        return None
    graph = onnx.ModelProto()
    graph.CopyFrom(whole)
    _rename(graph.graph, ends[0].output[0], COEFFICIENTS)
    channels = next(t.dims[0] for t in graph.graph.initializer if t.name.startswith(KERNEL))
    shape = ["batch", channels, "height", "width"]
    graph.graph.value_info.append(
        onnx.helper.make_tensor_value_info(COEFFICIENTS, TensorProto.FLOAT, shape)
    )
    extractor = Extractor(graph)
    inputs = [value.name for value in graph.graph.input]
    trunk = extractor.extract_model(inputs[:2], [COEFFICIENTS])
    head = extractor.extract_model([COEFFICIENTS, *inputs], [graph.graph.output[0].name])
    return trunk, head


def write_parts(whole: Path, trunk: Path, head: Path) -> bool:
    """Write the two parts of a graph's file; return False, writing none, if it cannot be cut."""
    parts = cut(onnx.load(whole, load_external_data=False))
    if parts is None:
        return False
    for part, path in zip(parts, (trunk, head), strict=True):
        onnx.save(part, path)
    return True


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
