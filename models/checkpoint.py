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
from models.architectures.registry import NetworkSpec

SPEC_KEY = "anysr.network"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors to `path` in one step: a cut-off write leaves the old file whole."""
    partial = path.with_suffix(".partial")
    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    save_file(contiguous, partial, metadata=dict(header))
    partial.chmod(0o644)
    partial.replace(path)


def save_network(path: Path, spec: NetworkSpec, network: nn.Module) -> None:
    """Write a network's weights with its spec in the header."""
    header = {SPEC_KEY: json.dumps({"name": spec.name, "args": dict(spec.args)})}
    save_tensors(path, network.state_dict(), header)


def load_network(path: Path) -> tuple[NetworkSpec, Network]:
    """Return the spec and the network (in evaluation mode) of a weights file.

    Raises ValueError when the file has no AnySR header.
    """
    spec = NetworkSpec(**_header(path))
    network = spec.build()
    network.load_state_dict(load_file(path))
    return spec, network.eval()


def _header(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if SPEC_KEY not in metadata:
        raise ValueError(f"{path} is not an AnySR weights file: no {SPEC_KEY!r} in its header")
    header: dict[str, Any] = json.loads(metadata[SPEC_KEY])
    return header
