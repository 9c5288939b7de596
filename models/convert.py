"""Public checkpoints to our weights and back, without loss: renamed, reshaped, nothing computed.

A public file is read with `weights_only`, so that nothing in it is run.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.architectures.registry import NetworkSpec
from models.layouts.base import Layout, Tensors
from models.layouts.ciaosr import CiaoSRLayout
from models.layouts.defian import DeFiANLayout
from models.layouts.implicit import ImplicitLayout

LAYOUTS: Sequence[Layout] = (ImplicitLayout(), CiaoSRLayout(), DeFiANLayout())


class ConversionError(Exception):
    """Weights that no layout knows, or that are not all that one of its networks holds."""


def read_public(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a public checkpoint: the file's own, or those under model / sd or
    state_dict, where training code keeps them.

    Raises ConversionError for a file with anything but tensors and plain values in it.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConversionError(f"{path} is not a checkpoint of plain tensors: {reason}") from error
    for keys in (("model", "sd"), ("state_dict",)):
        content = _under(content, keys)
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ConversionError(f"{path} holds no tensors, neither by name nor under model / sd")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def from_public(public: Tensors) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """Return the spec and our tensors of public ones; ConversionError says what is amiss."""
    for layout in LAYOUTS:
        spec = layout.spec_of(public)
        if spec is not None:
            return spec, _converted(layout, spec, public)
    raise ConversionError("no known layout has these names: " + _some(public))


def to_public(spec: NetworkSpec, ours: Tensors) -> dict[str, Tensor]:
    """Return a network's tensors under public names; ConversionError if there are none for it."""
    for layout in LAYOUTS:
        if layout.writes(spec):
            implied = layout.implied(spec)
            for name, tensor in implied.items():
                if not torch.equal(ours[name], tensor.to(ours[name])):
                    raise ConversionError(f"{name} was trained, and has no place in public files")
            named = {
                layout.name_of(spec, name): layout.shaped(spec, name, tensor)
                for name, tensor in ours.items()
                if name not in implied
            }
            return {**named, **layout.unused(spec)}
    raise ConversionError(f"no public checkpoint holds a network such as {spec}")


def _converted(layout: Layout, spec: NetworkSpec, public: Tensors) -> dict[str, Tensor]:
    with torch.device("meta"):
        wanted = spec.build().state_dict()
    left = dict(public)
    converted = dict(layout.implied(spec))
    for name, like in wanted.items():
        if name in converted:
            continue
        public_name = layout.name_of(spec, name)
        tensor = left.pop(public_name, None)
        shape = layout.shaped(spec, name, like).shape
        if tensor is None or tensor.shape != shape:
            found = "missing" if tensor is None else f"{list(tensor.shape)}"
            raise ConversionError(f"{public_name} must be {list(shape)}, but is {found}")
        converted[name] = tensor.reshape(like.shape)
    for name, constant in layout.unused(spec).items():
        if not torch.allclose(left.pop(name, constant), constant, rtol=0, atol=1e-6):
            raise ConversionError(f"{name} is used nowhere, but it was changed")
    if left:
        raise ConversionError(f"nothing in {spec.name} takes {_some(left)}")
    return converted


def _under(content: Any, keys: Sequence[str]) -> Any:
    inner = content
    for key in keys:
        if not isinstance(inner, Mapping) or key not in inner:
            return content
        inner = inner[key]
    return inner


def _some(names: Tensors) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (" and others" if len(listed) > 3 else "")
