"""Weights and training state as safetensors: no pickle, and a header that describes the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.architectures.network import Network
from models.architectures.registry import build_network
from models.spec import NetworkSpec

SPEC_KEY = "anysr.network"
"""Our only key in a header: safetensors writes several in any order, and the bytes of a file must
be reproducible."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors to `path` atomically: an interrupted write leaves the old file whole."""
    partial = path.with_suffix(".partial")
    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    save_file(contiguous, partial, metadata=dict(header))
    partial.chmod(0o644)
    partial.replace(path)


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
        header["trained_scales"] = scales
    tensors = network.state_dict()
    if half:
        tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    save_tensors(path, tensors, {SPEC_KEY: json.dumps(header)})


def load_network(path: Path) -> tuple[NetworkSpec, Network]:
    """Return the spec and the network (in evaluation mode) of a weights file.

    Raises ValueError when the file has no AnySR header.
    """
    header = _header(path)
    spec = NetworkSpec(header["name"], header["args"])
    network = build_network(spec)
    network.load_state_dict(load_file(path))
    return spec, network.eval()


def trained_scales(path: Path) -> tuple[float, float] | None:
    """Return the smallest and largest trained scale of a weights file's network; None where the
    file does not state them. Raises ValueError as `load_network` does."""
    scales = _header(path).get("trained_scales")
    if scales is None:
        return None
    low, high = scales
    return float(low), float(high)


def _header(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if SPEC_KEY not in metadata:
        raise ValueError(f"{path} is not an AnySR weights file: no {SPEC_KEY!r} in its header")
    header: dict[str, Any] = json.loads(metadata[SPEC_KEY])
    return header
