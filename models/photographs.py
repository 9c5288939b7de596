"""Training photographs: held in memory on the training device, cropped and degraded there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


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


def read_rgb(path: Path) -> Tensor:
    """Return an image file as uint8 [3, H, W] RGB."""
    with Image.open(path) as image:
        array = np.array(image.convert("RGB"))
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def bicubic_downsample(image: Tensor, size: Sequence[int]) -> Tensor:
    """Return float [B, 3, H, W] in [0, 1] shrunk to `size` as Pillow's bicubic does it: columns
    first, then rows, each rounded to 8 bits; within 1/255 of Pillow on the same input."""
    narrow = _bicubic_pass(image, (image.shape[2], size[1]))
    return _bicubic_pass(narrow, size)


def _bicubic_pass(image: Tensor, size: Sequence[int]) -> Tensor:
    out = F.interpolate(image, size=list(size), mode="bicubic", antialias=True, align_corners=False)
    return (out.clamp(0, 1) * 255).round() / 255


@dataclass(frozen=True)
class Sampling:
    """How a batch is drawn: `batch` input patches of `patch` pixels a side, and one scale.

    The scale is uniform in [low, high], or with probability `anchor_probability` one of
    `anchors`; with probability `unequal_probability` height and width draw theirs apart.
    """

    batch: int = 8
    patch: int = 40
    low: float = 1.1
    high: float = 4.0
    anchors: Sequence[float] = (2.0, 3.0, 4.0)
    anchor_probability: float = 0.3
    unequal_probability: float = 0.15


class Photographs:
    """Photographs of at least `minimum` pixels a side, as uint8 tensors on `device`."""

    def __init__(
        self,
        files: Sequence[Path],
        device: torch.device | str = "cpu",
        minimum: int = 160,
        on_read: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.images: list[Tensor] = []
        for count, file in enumerate(files, 1):
            image = read_rgb(file)
            if min(image.shape[1:]) >= minimum:
                self.images.append(image.to(device))
            on_read(count)
        if not self.images:
            raise ValueError(f"no image of at least {minimum} pixels a side")
        pixels = torch.tensor([float(i.shape[1] * i.shape[2]) for i in self.images])
        self._weights = pixels.clamp(max=1_000_000)

    def draw(self, sampling: Sampling, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return (input [B, 3, p, p], target [B, 3, round(s_h p), round(s_w p)]) in [0, 1]."""
        high, wide = (round(sampling.patch * s) for s in _draw_scales(sampling, generator))
        picks = torch.multinomial(self._weights, sampling.batch, True, generator=generator)
        crops = [self._crop(int(pick), high, wide, generator) for pick in picks]
        target = torch.stack(crops).float() / 255
        return bicubic_downsample(target, (sampling.patch, sampling.patch)), target

    def _crop(self, pick: int, high: int, wide: int, generator: torch.Generator) -> Tensor:
        """Cut out [3, high, wide], turned by one of the eight symmetries of the square."""
        image = self.images[pick]
        turn = _integer(8, generator)
        h, w = (wide, high) if turn & 1 else (high, wide)
        top = _integer(image.shape[1] - h + 1, generator)
        left = _integer(image.shape[2] - w + 1, generator)
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
