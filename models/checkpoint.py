"""Weights and training state as safetensors: no pickle, and a header that says what they are."""

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
"""The one key of ours in a header: several would be written in any order, and a file is to be the
same each time it is written."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors to `path` in one step: a cut-off write leaves the old file whole."""
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
    """Write a network's weights with its spec, and the smallest and largest scale that it was
    trained at, in the header; with `half` as float16."""
    told: dict[str, Any] = {"name": spec.name, "args": dict(spec.args)}
    if scales is not None:
        told["trained_scales"] = scales
    header = {SPEC_KEY: json.dumps(told)}
    tensors = network.state_dict()
    if half:
        tensors = {k: t.half() if t.is_floating_point() else t for k, t in tensors.items()}
    save_tensors(path, tensors, header)


def load_network(path: Path) -> tuple[NetworkSpec, Network]:
    """Return the spec and the network (in evaluation mode) of a weights file.

    Raises ValueError when the file has no AnySR header.
    """
    told = _header(path)
    spec = NetworkSpec(told["name"], told["args"])
    network = build_network(spec)
    network.load_state_dict(load_file(path))
    return spec, network.eval()


def trained_scales(path: Path) -> tuple[float, float] | None:
    """Return the smallest and largest scale that a weights file's network was trained at; None
    where the file does not say. Raises ValueError as `load_network` does."""
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
    told: dict[str, Any] = json.loads(metadata[SPEC_KEY])
    return told
