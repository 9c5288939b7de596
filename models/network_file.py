"""Networks as safetensors files: no pickle, and a header that describes the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from models.architectures.network import Network
from models.architectures.registry import build_network
from models.spec import NetworkSpec
from models.weights_file import SCALES_KEY, Weights, read_weights
from models.weights_file import SPEC_KEY as SPEC_KEY
from models.whole_file import written


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors to `path` atomically: an interrupted write leaves the old file whole. Raises
    OSError."""
    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with written(path) as partial:
        try:
            save_file(contiguous, partial, metadata=dict(header))
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(f"{path} cannot be written: {error}") from error
        partial.chmod(0o644)


def save_network(
    path: Path,
    spec: NetworkSpec,
    network: nn.Module,
    scales: tuple[float, float] | None = None,
    half: bool = False,
) -> None:
    """Write a network's weights, with its spec and the smallest and largest trained scale in the
    header; with `half` as float16."""
    header: dict[str, Any] = {"name": spec.name, "args": dict(spec.args)}
    if scales is not None:
        header[SCALES_KEY] = scales
    tensors = network.state_dict()
    if half:
        tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    save_tensors(path, tensors, {SPEC_KEY: json.dumps(header)})


def load_network(path: Path) -> tuple[NetworkSpec, Network]:
    """Return the spec and the network (in evaluation mode) of a weights file. Raises as
    `models.weights_file.read_weights`."""
    weights = read_weights(path)
    return weights.spec, network_of(weights)


def network_of(weights: Weights) -> Network:
    """Return the network of a weights file's content, in evaluation mode."""
    network = build_network(weights.spec)
    network.load_state_dict(weights.tensors)
    return network.eval()
