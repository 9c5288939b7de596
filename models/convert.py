"""Public checkpoints to our weights and back, without loss: renamed, reshaped, nothing computed.

Nothing in a file is run, in either direction, and no file leads to a network larger than itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.layouts import public_file
from models.layouts.base import ConversionError as ConversionError
from models.layouts.base import Layout, PublicSpec, Tensors
from models.layouts.ciaosr import CiaoSRLayout
from models.layouts.defian import DeFiANLayout
from models.layouts.implicit import ImplicitLayout
from models.layouts.public_file import FileError, Public
from models.network_file import save_network
from models.spec import NetworkSpec
from models.weights_file import read_weights, skeleton, some

LAYOUTS: Sequence[Layout] = (ImplicitLayout(), CiaoSRLayout(), DeFiANLayout())


def convert_public(source: Path, target: Path, as_published: bool = False) -> NetworkSpec:
    """Convert a public checkpoint to our weights file, and return its network's spec. Raises
    OSError and WrongFile; `target` is then unchanged."""
    public = read_public(source)
    spec, tensors = from_public(public.tensors, public.spec, as_published)
    network = skeleton(spec, len(tensors))
    network.load_state_dict(tensors, assign=True)
    save_network(target, spec, network)
    return spec


def convert_ours(source: Path, target: Path) -> NetworkSpec:
    """Convert our weights file to a public checkpoint, and return its network's spec. Raises
    OSError and WrongFile; `target` is then unchanged."""
    spec, tensors = read_ours(source)
    write_public(target, spec, tensors)
    return spec


def read_public(path: Path) -> Public:
    """Return the tensors of a public checkpoint and its description of the network; see
    `models.layouts.public_file`.

    Raises OSError for a file that cannot be opened, and ConversionError for one that holds anything
    but finite tensors under their names.
    """
    try:
        return public_file.read(path)
    except FileError as error:
        raise ConversionError(str(error)) from error


def from_public(
    public: Tensors, public_spec: PublicSpec | None = None, as_published: bool = False
) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """Return the spec and our tensors of public ones; ConversionError has the reason.

    `public_spec` is the file's own description of its network; with `as_published`, a file without
    one is taken for the network that its authors published, where shapes alone leave that open.
    """
    for layout in LAYOUTS:
        spec = layout.spec_of(public, public_spec, as_published)
        if spec is not None:
            return spec, _converted(layout, spec, public)
    raise ConversionError("no known layout has these names: " + some(public))


def to_public(spec: NetworkSpec, ours: Tensors) -> dict[str, Tensor]:
    """Return a network's tensors under public names; ConversionError if there are none for it."""
    layout = _layout_of(spec)
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


def write_public(path: Path, spec: NetworkSpec, ours: Tensors) -> None:
    """Write a network in the form that the public code loads. Raises OSError, and ConversionError
    for a network that no public code builds."""
    layout = _layout_of(spec)
    # Cloned, because torch.save writes the whole storage behind a view.
    public = {name: tensor.clone() for name, tensor in to_public(spec, ours).items()}
    public_file.write(path, layout.file_of(spec, public, str(path)))


def read_ours(path: Path) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """Return the spec and the tensors, in float32, of a weights file.

    Raises OSError for a file that cannot be opened, and WrongFile for one that is not ours, whose
    tensors are not those of the network that it names, or whose network has no public form.
    """
    weights = read_weights(path)
    _layout_of(weights.spec)
    try:
        single = {name: public_file.single(name, t) for name, t in weights.tensors.items()}
    except FileError as error:
        raise ConversionError(f"{path}: {error}") from error
    return weights.spec, single


def _layout_of(spec: NetworkSpec) -> Layout:
    for layout in LAYOUTS:
        if layout.writes(spec):
            return layout
    raise ConversionError(f"no public checkpoint holds a network such as {spec}")


def _converted(layout: Layout, spec: NetworkSpec, public: Tensors) -> dict[str, Tensor]:
    implied = layout.implied(spec)
    wanted = skeleton(spec, len(public) + len(implied)).state_dict()
    left = dict(public)
    converted = dict(implied)
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
        held = left.pop(name, constant)
        if held.shape != constant.shape or not torch.allclose(held, constant, rtol=0, atol=1e-6):
            raise ConversionError(f"{name} is used nowhere, but it was changed")
    if left:
        raise ConversionError(f"nothing in {spec.name} takes {some(left)}")
    return converted
