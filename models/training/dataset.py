"""Training photographs: held in memory on the training device, cropped and degraded there.

One gather cuts all crops of a batch out of one long tensor: otherwise the host would spend longer
on the crops than a GPU on the step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from models.photographs import list_images as list_images
from models.photographs import read_photograph
from models.training.config import Sampling
from models.training.degradation import degrade
from models.wrong_file import WrongFile

READERS = min(8, os.cpu_count() or 1)
"""Threads that decode files: Pillow releases the interpreter lock meanwhile."""


def training_files(
    folders: Sequence[Path], count: int, validation: Path | None = None
) -> tuple[list[Path], list[Path]]:
    """Return (training files of all folders, `count` evenly spaced ones of the validation folder,
    by default the first). Files with the content of a validation image are left out. Raises
    WrongFile if that leaves none."""
    candidates = list_images([validation or folders[0]])
    count = min(count, len(candidates))
    held = [candidates[i * len(candidates) // count] for i in range(count)]
    sizes, contents = {f.stat().st_size for f in held}, {f.read_bytes() for f in held}

    def is_held(file: Path) -> bool:
        return file.stat().st_size in sizes and file.read_bytes() in contents

    files = [f for f in list_images(folders) if not is_held(f)]
    if not files:
        raise WrongFile(
            f"all {len(candidates)} photographs are held out for validation, so none is left to "
            "train on; give more, lower validation_images, or name another validation folder"
        )
    return files, held


def read_rgb(path: Path) -> Tensor:
    """Return an image file as uint8 [3, H, W] RGB. Raises as `read_photograph`."""
    return torch.from_numpy(read_photograph(path)).permute(2, 0, 1).contiguous()


class Photographs:
    """Photographs of at least `minimum` pixels a side, as bytes on `device`.

    Reading ends early at `stop_at` (of time.monotonic), and training uses what was read by then.
    """

    def __init__(
        self,
        files: Sequence[Path],
        device: torch.device | str = "cpu",
        minimum: int = 160,
        stop_at: float = float("inf"),
        on_read: Callable[[int], None] = lambda count: None,
    ) -> None:
        planes: list[Tensor] = []
        self.sizes: list[tuple[int, int]] = []
        with ThreadPoolExecutor(READERS) as readers:
            for start in range(0, len(files), 4 * READERS):
                some = files[start : start + 4 * READERS]
                for image in readers.map(read_rgb, some):
                    if min(image.shape[1:]) >= minimum:
                        planes.append(image.flatten().to(device))
                        self.sizes.append((image.shape[1], image.shape[2]))
                on_read(start + len(some))
                if planes and time.monotonic() > stop_at:
                    break
        if not planes:
            raise WrongFile(f"no image of at least {minimum} pixels a side")
        self._samples = torch.cat(planes)
        self._sides = torch.tensor(self.sizes)
        pixels = self._sides.prod(1)
        self._starts = 3 * (pixels.cumsum(0) - pixels)
        self._weights = pixels.float().clamp(max=1_000_000)

    def __len__(self) -> int:
        return len(self.sizes)

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
        crops = _crops(self._starts[picks], self._sides[picks], size, places, turns)
        target = self._gather(crops[:, part], size).float() / 255
        if sampling.flat_probability:
            colours, flat = _draw_flat(sampling, generator)
            here = target.device
            target = torch.where(
                flat[part].to(here, non_blocking=True),
                colours[part].to(here, non_blocking=True),
                target,
            )
        small = degrade(target, (sampling.patch, sampling.patch), sampling, generator, strength)
        return small, target

    def _gather(self, crops: Tensor, size: Sequence[int]) -> Tensor:
        """Return the samples [B, 3, *size] of the crops."""
        device = self._samples.device
        numbers = crops.to(device, non_blocking=True)
        start, plane, down, right = numbers[..., None, None, None]
        channel, row, column = (torch.arange(n, device=device) for n in (3, *size))
        # Row and column first: they are small until the channels join.
        where = start + row[:, None] * down + column * right + channel[:, None, None] * plane
        return self._samples.take(where)


def _crops(
    starts: Tensor, sides: Tensor, size: Sequence[int], places: Tensor, turns: Tensor
) -> Tensor:
    """Return where the samples of crops [3, *size] lie, [4, B]: the first one, and the steps to the
    next channel, row and column.

    They are cut out of pictures of `sides` [B, 2] whose samples begin at `starts` [B]: at `places`
    [B, 2] (parts in [0, 1) of the free rows and columns), turned by one of the eight symmetries of
    the square, `turns` [B].
    """
    lying, upside_down, mirrored = ((turns & bit).bool() for bit in (1, 2, 4))
    width, one = sides[:, 1], torch.ones_like(starts)
    cut = torch.where(lying[:, None], torch.tensor(size[::-1]), torch.tensor(size))
    top, left = (places * (sides - cut + 1)).long().T
    down, right = torch.where(lying, one, width), torch.where(lying, width, one)
    first = starts + top * width + left
    first = first + torch.where(upside_down, (size[0] - 1) * down, 0)
    first = first + torch.where(mirrored, (size[1] - 1) * right, 0)
    down = torch.where(upside_down, -down, down)
    right = torch.where(mirrored, -right, right)
    return torch.stack((first, sides.prod(1), down, right))


def _draw_flat(sampling: Sampling, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the colours [B, 3, 1, 1] that crops of one colour would have, half of them corners of
    the colour cube, and which crops are such [B, 1, 1, 1]."""
    drawn = torch.rand(sampling.batch, 5, generator=generator)
    levels = torch.where(drawn[:, :1] < 0.5, drawn[:, 1:4], (drawn[:, 1:4] > 0.5).float())
    flat = drawn[:, 4] < sampling.flat_probability
    return (levels * 255).round()[..., None, None] / 255, flat[:, None, None, None]


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
