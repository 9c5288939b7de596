"""Reads weights files: safetensors with a header that describes the network.

A file may come from anyone, so its header is checked against its tensors before a network is built:
no file leads to a network larger than itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from models.architectures.network import Network
from models.architectures.registry import build_network
from models.spec import NetworkSpec
from models.wrong_file import WrongFile

SPEC_KEY = "anysr.network"
"""Our only key in a header: safetensors writes several in any order, and the bytes of a file must
be reproducible."""
SCALES_KEY = "trained_scales"
"""In the description of the network."""

MISSING = 64
"""Tensors that a network may have beyond twice those of its file before it is refused."""
LARGEST_SIZE = 1 << 16
"""The largest number in a network's description: channels, blocks, units."""
MOST_TENSORS = 2_000
"""Of a network that a config or a catalog describes: those of the largest one known here."""
MOST_SCALE = 1000.0


@dataclass(frozen=True)
class Weights:
    """The content of a weights file."""

    spec: NetworkSpec
    tensors: Mapping[str, Tensor]
    """Exactly those of the network, by name."""
    scales: tuple[float, float] | None
    """The smallest and largest trained scale, if the file states them."""


def read_weights(path: Path) -> Weights:
    """Return the content of a weights file. Raises OSError for a file that cannot be opened, and
    WrongFile for one that is not ours, or whose tensors are not those of its network."""
    with path.open("rb"):
        pass  # safetensors' own errors name no file
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            header = _header(metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        spec = NetworkSpec(header["name"], header["args"])
        _match(skeleton(spec, len(tensors)), tensors)
        return Weights(spec, tensors, _scales(header.get(SCALES_KEY)))
    except (SafetensorError, OSError) as error:
        raise WrongFile(f"{path} is no safetensors file: {error}") from error
    except WrongFile as error:
        raise WrongFile(f"{path}: {error}") from error


def skeleton(spec: NetworkSpec, tensors: int) -> Network:
    """Return a network on the meta device: shapes without values.

    Raises WrongFile for a spec that builds no network, and as soon as the network has far more
    parameters than its file has `tensors`. A few more are allowed, so that the error for missing
    tensors can name the first.
    """
    try:
        with torch.device("meta"), _bounded(2 * tensors + MISSING):
            return build_network(spec)
    except WrongFile:
        raise
    except Exception as error:  # constructors are called with unchecked arguments
        reason = ascii(str(error).partition("\n")[0][:200])[1:-1]
        raise WrongFile(f"no network is of this name and these sizes: {reason}") from error


@contextmanager
def _bounded(most: int) -> Iterator[None]:
    count = 0

    def count_one(_module: nn.Module, _name: str, _parameter: Any) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise WrongFile(f"its network would have more than {most} tensors")

    hook = register_module_parameter_registration_hook(count_one)
    try:
        yield
    finally:
        hook.remove()


def _header(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the description of a network, with a name and arguments."""
    if SPEC_KEY not in metadata:
        raise WrongFile(f"it is no AnySR weights file: no {SPEC_KEY!r} in its header")
    try:
        header = json.loads(metadata[SPEC_KEY], parse_int=_size)
    except WrongFile:
        raise
    except (ValueError, RecursionError) as error:
        raise WrongFile("its header does not describe a network") from error
    known = isinstance(header, dict) and isinstance(header.get("name"), str)
    if not known or not isinstance(header.get("args"), dict):
        raise WrongFile("its header does not describe a network")
    return dict(header)


def _size(digits: str) -> int:
    if len(digits) > len(str(LARGEST_SIZE)) or int(digits) > LARGEST_SIZE:
        raise WrongFile(f"its header describes a network with sizes above {LARGEST_SIZE}")
    return int(digits)


def _scales(stated: object) -> tuple[float, float] | None:
    if stated is None:
        return None
    numbers = isinstance(stated, list) and all(isinstance(s, int | float) for s in stated)
    if not isinstance(stated, list) or not numbers or len(stated) != 2:
        raise WrongFile(f"{SCALES_KEY} in its header are no two scales")
    low, high = map(float, stated)
    if not (0 < low <= high <= MOST_SCALE and math.isfinite(high)):
        raise WrongFile(f"{SCALES_KEY} in its header do not rise from above 0")
    return low, high


def _match(network: Network, tensors: Mapping[str, Tensor]) -> None:
    """Raise WrongFile unless the tensors are those of the network, and finite numbers."""
    wanted = network.state_dict()
    if wanted.keys() != tensors.keys():
        raise WrongFile(f"its network has other tensors: {some(wanted.keys() ^ tensors)}")
    for name, like in wanted.items():
        tensor = tensors[name]
        if tensor.shape != like.shape:
            raise WrongFile(f"{name} must be {list(like.shape)}, but is {list(tensor.shape)}")
        if tensor.is_floating_point() != like.is_floating_point() or tensor.is_complex():
            raise WrongFile(f"{name} holds {tensor.dtype} where {like.dtype} belongs")
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise WrongFile(f"{name} holds numbers that are not finite")


def some(names: Mapping[str, Tensor] | set[str]) -> str:
    """Return the first names, for a message."""
    listed = [ascii(name[:100])[1:-1] for name in sorted(names)]
    return ", ".join(listed[:3]) + (" and others" if len(listed) > 3 else "")
