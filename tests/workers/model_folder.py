"""Shared by tests of model folders: a small folder, and an operator's changes to it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from models.catalog import (
    CATALOG_FILE,
    SHIPPED,
    Catalog,
    ModelEntry,
    describe,
    read_catalog,
    register,
    write_catalog,
)
from tests.workers.workbench import default_entry, whole

SMALL = "anysr-s"


def small_folder(folder: Path, *names: str) -> Path:
    """A model folder with the shipped small network at one width, once under each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or (SMALL,):
        add_copy(folder, name)
    return folder


def add_copy(folder: Path, name: str) -> ModelEntry:
    """Add the shipped small network under another name, with a graph of its own."""
    entry = whole(default_entry())
    graph = folder / f"{name}.onnx"
    shutil.copy(SHIPPED / entry.widths[-1].onnx.file, graph)
    shutil.copy(SHIPPED / entry.weights.file, folder)
    width = entry.widths[-1].model_copy(update={"onnx": describe(graph)})
    entry = entry.model_copy(update={"name": name, "widths": (width,), "torchscript": None})
    register(folder, entry)
    return entry


def remove(folder: Path, name: str) -> None:
    """Remove an entry from a folder's catalog."""
    catalog = read_catalog(folder)
    models = tuple(model for model in catalog.models if model.name != name)
    write_catalog(folder, Catalog(default=catalog.default, models=models))


def tamper(folder: Path, name: str) -> None:
    """Change one byte of a model's graph, in the file itself."""
    graph = folder / f"{name}.onnx"
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)


def edit(folder: Path, name: str, **members: Any) -> None:
    """Write members into an entry without validating them."""
    path = folder / CATALOG_FILE
    content = json.loads(path.read_text())
    for entry in content["models"]:
        if entry["name"] == name:
            entry.update(members)
    path.write_text(json.dumps(content))
