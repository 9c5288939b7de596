"""Public checkpoints to our weights and back, without loss: renamed, reshaped, nothing computed.

Nothing in a file is run, in either direction, and no file leads to a network larger than itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from models.architectures.network import Network
from models.architectures.registry import build_network
from models.checkpoint import SPEC_KEY, save_network
from models.layouts import public_file
from models.layouts.base import ConversionError as ConversionError
from models.layouts.base import Layout, PublicSpec, Tensors
from models.layouts.ciaosr import CiaoSRLayout
from models.layouts.defian import DeFiANLayout
from models.layouts.implicit import ImplicitLayout
from models.layouts.public_file import FileError, Public
from models.spec import NetworkSpec

LAYOUTS: Sequence[Layout] = (ImplicitLayout(), CiaoSRLayout(), DeFiANLayout())

MISSING = 64
"""Tensors that a network may have beyond twice those of its file before it is refused."""
LARGEST_SIZE = 1 << 16
"""The largest number in a network's description: channels, blocks, units."""


def convert_public(source: Path, target: Path, as_published: bool = False) -> NetworkSpec:
    """Convert a public checkpoint to our weights file, and return its network's spec. Raises
    OSError and ConversionError; `target` is then unchanged."""
    public = read_public(source)
    spec, tensors = from_public(public.tensors, public.spec, as_published)
    network = skeleton(spec, len(tensors))
    network.load_state_dict(tensors, assign=True)
    try:
        with public_file.written(target) as partial:
            save_network(partial, spec, network)
    except SafetensorError as error:
        raise ConversionError(f"{target} cannot be written: {error}") from error
    return spec


def convert_ours(source: Path, target: Path) -> NetworkSpec:
    """Convert our weights file to a public checkpoint, and return its network's spec. Raises
    OSError and ConversionError; `target` is then unchanged."""
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
    raise ConversionError("no known layout has these names: " + _some(public))


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

    Raises OSError for a file that cannot be opened, and ConversionError for one that is not ours,
    whose tensors are not those of the network that it names, or whose network has no public form.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        spec = _spec_of(metadata)
        _match(skeleton(spec, len(tensors)), tensors)
        _layout_of(spec)  # a network without a public form is reported before its values
        return spec, {name: public_file.single(name, tensor) for name, tensor in tensors.items()}
    except SafetensorError as error:
        raise ConversionError(f"{path} is no safetensors file: {error}") from error
    except FileError as error:
        raise ConversionError(f"{path}: {error}") from error


def skeleton(spec: NetworkSpec, tensors: int) -> Network:
    """Return a network on the meta device: shapes without values.

    Raises ConversionError for a spec that builds no network, and as soon as the network has far
    more parameters than its file has `tensors`. A few more are allowed, so that the error for
    missing tensors can name the first.
    """
    try:
        with torch.device("meta"), _bounded(2 * tensors + MISSING):
            return build_network(spec)
    except ConversionError:
        raise
    except Exception as error:  # constructors are called with unchecked arguments
        reason = ascii(str(error).partition("\n")[0][:200])
        raise ConversionError(f"no network is of these sizes: {reason}") from error


@contextmanager
def _bounded(most: int) -> Iterator[None]:
    count = 0

    def count_one(_module: nn.Module, _name: str, _parameter: Any) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise ConversionError(f"its network would have more than {most} tensors")

    hook = register_module_parameter_registration_hook(count_one)
    try:
        yield
    finally:
        hook.remove()


def _spec_of(metadata: dict[str, str]) -> NetworkSpec:
    if SPEC_KEY not in metadata:
        raise ConversionError(f"it is no AnySR weights file: no {SPEC_KEY!r} in its header")
    try:
        header = json.loads(metadata[SPEC_KEY], parse_int=_size)
        name, args = header["name"], header["args"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ConversionError("its header does not describe a network") from error
    if not isinstance(name, str) or not isinstance(args, dict):
        raise ConversionError("its header does not describe a network")
    return NetworkSpec(name, args)


def _size(digits: str) -> int:
    if len(digits) > len(str(LARGEST_SIZE)) or int(digits) > LARGEST_SIZE:
        raise ConversionError(f"its header describes a network with sizes above {LARGEST_SIZE}")
    return int(digits)


def _match(network: Network, tensors: Tensors) -> None:
    wanted = network.state_dict()
    if wanted.keys() != tensors.keys():
        raise ConversionError(f"its network has other tensors: {_some(wanted.keys() ^ tensors)}")
    for name, like in wanted.items():
        if tensors[name].shape != like.shape:
            shapes = list(like.shape), list(tensors[name].shape)
            raise ConversionError(f"{name} must be {shapes[0]}, but is {shapes[1]}")


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
        raise ConversionError(f"nothing in {spec.name} takes {_some(left)}")
    return converted


def _some(names: Tensors | set[str]) -> str:
    listed = [ascii(name[:100])[1:-1] for name in sorted(names)]
    return ", ".join(listed[:3]) + (" and others" if len(listed) > 3 else "")
