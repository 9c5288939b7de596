"""Trunks in bfloat16 whose first and last convolution are nearly as accurate as in float32.

bfloat16 has 8 significant bits: too few for a picture, and for the kernel that ends the trunk. Two
of them together have 16. So x is split into x1 + x2, a kernel w into w1 + w2, and
x w = x1 w1 + x2 w1 + x1 w2 is one convolution over more channels, whose sum is in float32 anyway.
The first convolution has 3 input channels and is padded to 16 or more, so its split is free; the
last one's kernel is split, at twice its time. This halves the largest error of a whole network
(`docs/performance.md`). The idea is that of Henry, Tang and Heinecke, "Leveraging the bfloat16
artificial intelligence datatype for higher-precision computations", ARITH 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino

FloatArray = NDArray[np.float32]

IMAGE = "image"


def rounded(values: FloatArray) -> FloatArray:
    """Return finite values rounded to the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    nearest = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)


def split_image(image: FloatArray, mean: float) -> FloatArray:
    """Return image [B, 3, H, W] less its mean as [B, 9, H, W]: upper, lower and upper parts."""
    centred = image - np.float32(mean)
    upper = rounded(centred)
    return np.concatenate([upper, rounded(centred - upper), upper], axis=1)


def split_ends(trunk: openvino.Model) -> float | None:
    """Replace the first and the last convolution of a trunk by split ones, in place.

    Its input `image` then takes what `split_image` makes with the mean that is returned. Returns
    None, having changed nothing, for a trunk that does not begin with the subtraction of a mean and
    a convolution of three channels, or does not end with a convolution.
    """
    image = next((one for one in trunk.get_parameters() if one.friendly_name == IMAGE), None)
    first = None if image is None else _only_reader(image, "Subtract")
    entry = None if first is None else _only_reader(first, "Convolution")
    last = _last_convolution(trunk)
    if image is None or first is None or entry is None or last is None:
        return None
    mean = _constant(first.input_value(1))
    kernel, last_kernel = (_constant(one.input_value(1)) for one in (entry, last))
    if mean is None or mean.size != 1 or kernel is None or last_kernel is None:
        return None
    _split_entry(trunk, image, entry, kernel)
    _split_last(last, last_kernel)
    trunk.validate_nodes_and_infer_types()
    return float(mean.reshape(()))


def _split_entry(trunk: openvino.Model, image: Any, entry: Any, kernel: FloatArray) -> None:
    from openvino import opset13 as ops

    upper, lower = _halves(kernel)
    shape = image.get_output_partial_shape(0)
    shape[1] = 3 * kernel.shape[1]
    wide = ops.parameter(shape, np.float32, IMAGE)
    wide.output(0).set_names({IMAGE})
    entry.input(0).replace_source_output(wide.output(0))
    _replace_kernel(entry, np.concatenate([upper, upper, lower], axis=1))
    trunk.remove_parameter(image)
    trunk.add_parameters([wide])


def _split_last(last: Any, kernel: FloatArray) -> None:
    from openvino import opset13 as ops

    source = last.input_value(0)
    twice = ops.concat([source, source], 1)
    last.input(0).replace_source_output(twice.output(0))
    _replace_kernel(last, np.concatenate(_halves(kernel), axis=1))


def _halves(kernel: FloatArray) -> tuple[FloatArray, FloatArray]:
    upper = rounded(kernel)
    return upper, rounded(kernel - upper)


def _replace_kernel(convolution: Any, kernel: FloatArray) -> None:
    from openvino import opset13 as ops

    convolution.input(1).replace_source_output(ops.constant(kernel).output(0))


def _only_reader(node: Any, kind: str) -> Any | None:
    """Return the only operation that reads a node's output, if it is of this kind."""
    readers = [one.get_node() for one in node.output(0).get_target_inputs()]
    return readers[0] if len(readers) == 1 and readers[0].get_type_name() == kind else None


def _last_convolution(trunk: openvino.Model) -> Any | None:
    """Return the convolution that a trunk ends with, before its bias."""
    node = trunk.get_results()[0].input_value(0).get_node()
    if node.get_type_name() == "Add":
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Convolution" else None


def _constant(output: Any) -> FloatArray | None:
    """Return the value of a constant, which may be stored in half precision."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.data.astype(np.float32) if node.get_type_name() == "Constant" else None
