"""Golden outputs of the shipped networks: `python -m tests.workers.golden` writes them anew.

They are kept as a hash of the 8-bit samples and as sums of each row, so that a machine that rounds
differently by a level here and there is distinguished from a network that has changed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from images.picture import FloatArray
from models.catalog import SHIPPED, read_catalog
from models.geometry import output_size
from scheduling.tiling import tiling_of
from tests.workers.workbench import picture_of
from workers.loaded_model import LoadedModel
from workers.runtimes.onnx import OnnxSession
from workers.upscale import upscale

FILE = Path(__file__).with_name("golden.json")
SIZE = (14, 17)
SCALE = 1.83
"""A real one that networks of every fixed scale offer."""


def drawn() -> FloatArray:
    """Return a picture [3, H, W] in [0, 1] with a gradient, a disc and one-pixel lines."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    planes = np.stack([rows / SIZE[0], columns / SIZE[1], (rows + columns) / sum(SIZE)])
    planes[:, (rows - 6) ** 2 + (columns - 8) ** 2 < 16] = np.array(
        [[0.9], [0.2], [0.1]], np.float32
    )
    planes[:, :, 13::2] = 1 - planes[:, :, 13::2]
    levels: FloatArray = np.rint(planes * 255).astype(np.float32) / np.float32(255)
    return levels


def loaded(name: str) -> LoadedModel:
    """Return a shipped model in ONNX Runtime, in float32 and on one thread."""
    entry = read_catalog().get(name)
    return LoadedModel(entry, OnnxSession(SHIPPED, entry, threads=1), tiling_of(entry))


def upscaled(planes: FloatArray, model: LoadedModel, width: float) -> FloatArray:
    """Return planes [3, H, W] enlarged by `SCALE` at a width, in [0, 1]."""
    target = output_size(SIZE[0], SCALE), output_size(SIZE[1], SCALE)
    engine = model.at(width)
    return upscale(picture_of(planes), *target, engine, lambda part: None).picture.pixels.colour


def golden_of(model: LoadedModel, width: float) -> dict[str, Any]:
    """Return the golden record of a width: `sha256` and `rows` [rows][3]."""
    samples = np.rint(upscaled(drawn(), model, width) * 255).astype(np.uint8)
    digest = hashlib.sha256(samples.tobytes()).hexdigest()
    return {"sha256": digest, "rows": samples.sum(axis=2, dtype=int).T.tolist()}


def key_of(model: LoadedModel, width: float) -> str:
    """Return the name of a record."""
    return f"{model.entry.name}@{width:g}"


def main() -> None:
    """Write the records of all shipped networks at all widths."""
    records = {}
    for name in read_catalog().names:
        model = loaded(name)
        for entry in model.entry.widths:
            records[key_of(model, entry.width)] = golden_of(model, entry.width)
    lines = (f'"{key}": {json.dumps(record)}' for key, record in sorted(records.items()))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
