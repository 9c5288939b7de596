"""Training photographs: held in memory on the training device, cropped and degraded there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.config import Sampling
from models.degradation import degrade

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
READERS = min(8, os.cpu_count() or 1)
"""Threads that decode files: Pillow lets go of the interpreter while it does."""


def list_images(folders: Iterable[Path]) -> list[Path]:
    """Return the image files under `folders`, sorted by name; FileNotFoundError if none."""
    roots = list(folders)
    for root in roots:
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root}")
    files = [f for root in roots for f in root.rglob("*") if f.suffix.lower() in SUFFIXES]
    if not files:
        raise FileNotFoundError(f"no image in {', '.join(map(str, roots))}")
    return sorted(files, key=lambda f: (f.name, str(f)))


def training_files(
    folders: Sequence[Path], count: int, validation: Path | None = None
) -> tuple[list[Path], list[Path]]:
    """Return (training files of all folders, `count` evenly spaced ones of the validation folder,
    by default the first). A file with the same content as a held one is not trained on."""
    candidates = list_images([validation or folders[0]])
    count = min(count, len(candidates))
    held = [candidates[i * len(candidates) // count] for i in range(count)]
    sizes, contents = {f.stat().st_size for f in held}, {f.read_bytes() for f in held}

    def is_held(file: Path) -> bool:
        return file.stat().st_size in sizes and file.read_bytes() in contents

    return [f for f in list_images(folders) if not is_held(f)], held


def read_rgb(path: Path) -> Tensor:
    """Return an image file as uint8 [3, H, W] RGB."""
    with Image.open(path) as image:
        array = np.array(image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


class Photographs:
    """Photographs of at least `minimum` pixels a side, as uint8 tensors on `device`.

    Reading ends early when `stop_at` (of time.monotonic) has come; what was read is used.
    """

    def __init__(
        self,
        files: Sequence[Path],
        device: torch.device | str = "cpu",
        minimum: int = 160,
        stop_at: float = float("inf"),
        on_read: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.images: list[Tensor] = []
        with ThreadPoolExecutor(READERS) as readers:
            for start in range(0, len(files), 4 * READERS):
                some = files[start : start + 4 * READERS]
                images = readers.map(read_rgb, some)
                self.images += [i.to(device) for i in images if min(i.shape[1:]) >= minimum]
                on_read(start + len(some))
                if self.images and time.monotonic() > stop_at:
                    break
        if not self.images:
            raise ValueError(f"no image of at least {minimum} pixels a side")
        pixels = torch.tensor([float(i.shape[1] * i.shape[2]) for i in self.images])
        self._weights = pixels.clamp(max=1_000_000)

    def draw(
        self,
        sampling: Sampling,
        generator: torch.Generator,
        strength: float = 0.0,
        part: slice = slice(None),
    ) -> tuple[Tensor, Tensor]:
        """Return (input [B, 3, p, p], target [B, 3, round(s_h p), round(s_w p)]) in [0, 1], of
        the batch only a `part`; the input is damaged to `strength`."""
        size = [round(sampling.patch * s) for s in _draw_scales(sampling, generator)]
        picks = torch.multinomial(self._weights, sampling.batch, True, generator=generator)
        places = torch.rand(sampling.batch, 2, generator=generator, dtype=torch.float64)
        turns = torch.randint(8, (sampling.batch,), generator=generator)
        rows = zip(picks.tolist(), places.tolist(), turns.tolist(), strict=True)
        crops = [self._crop(pick, size, place, turn) for pick, place, turn in list(rows)[part]]
        target = torch.stack(crops).float() / 255
        small = degrade(target, (sampling.patch, sampling.patch), sampling, generator, strength)
        return small, target

    def _crop(self, pick: int, size: Sequence[int], place: Sequence[float], turn: int) -> Tensor:
        """Cut out [3, *size] at `place` (parts in [0, 1) of the free rows and columns), turned by
        one of the eight symmetries of the square."""
        image = self.images[pick]
        h, w = reversed(size) if turn & 1 else size
        top = int(place[0] * (image.shape[1] - h + 1))
        left = int(place[1] * (image.shape[2] - w + 1))
        crop = image[:, top : top + h, left : left + w]
        crop = crop.transpose(1, 2) if turn & 1 else crop
        flips = [axis for axis, bit in ((1, 2), (2, 4)) if turn & bit]
        return crop.flip(flips) if flips else crop


def _draw_scales(sampling: Sampling, generator: torch.Generator) -> tuple[float, float]:
    def one() -> float:
        if _uniform(generator) < sampling.anchor_probability:
            return sampling.anchors[_integer(len(sampling.anchors), generator)]
        return sampling.low + (sampling.high - sampling.low) * _uniform(generator)

    first = one()
    return first, one() if _uniform(generator) < sampling.unequal_probability else first


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _integer(stop: int, generator: torch.Generator) -> int:
    return int(torch.randint(stop, (), generator=generator))
