"""Training state in files of bounded size that are replaced atomically.

`state.json` names the pieces (state-00000.safetensors, ...) and is replaced last: a new state
goes into files that the current index does not name, then the index is replaced, then what no
index names is removed. If that is interrupted, the folder holds the old or the new state, whole.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from models.network_file import save_tensors
from models.whole_file import written
from models.wrong_file import WrongFile

INDEX = "state.json"
ENTRY_BYTES = 200
"""Bytes of a safetensors header for one tensor's entry, without its name."""


def save_pieces(
    folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], piece_mib: float
) -> None:
    """Replace the state in `folder`; every file stays below `piece_mib` unless a single tensor is
    larger. `facts` go into the index."""
    current = set(_names(folder))
    free = (n for i in itertools.count() if (n := f"state-{i:05}.safetensors") not in current)
    pieces = []
    for piece in _split(tensors, piece_mib * 2**20):
        pieces.append(next(free))
        save_tensors(folder / pieces[-1], piece, {})
    with written(folder / INDEX) as partial:
        partial.write_text(json.dumps({**facts, "pieces": pieces}, indent=1))
    for file in folder.glob("state*.safetensors"):
        if file.name not in pieces:
            file.unlink()


def load_pieces(folder: Path) -> dict[str, Tensor]:
    """Return the state's tensors by name; empty if the folder holds no state."""
    return {k: v for name in _names(folder) for k, v in load_file(folder / name).items()}


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the facts saved with the state; empty if the folder holds no state. Raises WrongFile
    for an index that is damaged."""
    index = folder / INDEX
    if not index.exists():
        return {}
    try:
        facts = json.loads(index.read_text())
    except (ValueError, RecursionError) as error:
        raise WrongFile(f"{index} is no JSON") from error
    return facts if isinstance(facts, dict) else {}


def _is_plain(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name


def _names(folder: Path) -> list[str]:
    index = folder / INDEX
    if index.exists():
        pieces = read_facts(folder).get("pieces")
        if not isinstance(pieces, list) or not all(_is_plain(name) for name in pieces):
            raise WrongFile(f"{index} does not list the files of a training state")
        return pieces
    # A run without an index has one file.
    return [f.name for f in folder.glob("state.safetensors")]


def _split(tensors: Mapping[str, Tensor], limit: float) -> Iterator[dict[str, Tensor]]:
    piece: dict[str, Tensor] = {}
    size = 0.0
    for name, tensor in tensors.items():
        more = tensor.nbytes + len(name) + ENTRY_BYTES
        if piece and size + more >= limit:
            yield piece
            piece, size = {}, 0.0
        piece[name] = tensor
        size += more
    yield piece
