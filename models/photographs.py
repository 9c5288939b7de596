"""Folders of photographs, for training and measurements."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.wrong_file import WrongFile

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
DAMAGED = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)
"""What Pillow raises for files that are no pictures, or damaged ones."""


def list_images(folders: Iterable[Path]) -> list[Path]:
    """Return the image files under `folders`, sorted by name, without hidden ones;
    FileNotFoundError if there is none."""
    roots = list(folders)
    for root in roots:
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root}")
    files = [f for root in roots for f in root.rglob("*") if f.suffix.lower() in SUFFIXES]
    files = [f for f in files if f.is_file() and not f.name.startswith(".")]
    if not files:
        raise FileNotFoundError(f"no image in {', '.join(map(str, roots))}")
    return sorted(files, key=lambda f: (f.name, str(f)))


def read_photograph(path: Path) -> NDArray[np.uint8]:
    """Return an image file as [H, W, 3] RGB. Raises OSError for one that cannot be opened, and
    WrongFile for one that is no picture."""
    with path.open("rb") as file:
        try:
            with Image.open(file) as image:
                return np.array(image.convert("RGB"))
        except (*DAMAGED, Image.DecompressionBombError) as error:
            raise WrongFile(f"{path} is no picture that can be read, or a damaged one") from error
