"""Measured quality: PSNR-Y and SSIM-Y over a folder, for anything that upscales.

Protocol (that of the field's tables): the truth is cropped to round(floor(n / s) * s) pixels, the
input made from it by Pillow's bicubic on 8 bits; the output, rounded to 8 bits as a user gets
it, is compared on ITU-R BT.601 luma with ceil(s) pixels shaved off each border; image means.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

from models.photographs import read_photograph
from models.wrong_file import WrongFile

LEAST_SIDE = 11
"""Of what is compared, in pixels: the window of SSIM."""

Pixels = NDArray[np.uint8]

Upscaler = Callable[[Pixels, tuple[int, int]], Pixels]
"""(uint8 [h, w, 3] RGB, (height, width) of the output) -> uint8 [height, width, 3]."""


@dataclass(frozen=True)
class Score:
    """Mean quality over a folder at one scale: PSNR-Y in dB, SSIM-Y in [-1, 1]."""

    scale: float
    psnr_y: float
    ssim: float
    images: int


def bicubic(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Upscale by Pillow's bicubic: the reference line of every table."""
    image = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


def luma(pixels: Pixels) -> NDArray[np.float64]:
    """Return ITU-R BT.601 luma, 16 to 235, of uint8 [h, w, 3] RGB."""
    weights = np.array([65.738, 129.057, 25.064]) / 256
    return 16.0 + pixels.astype(np.float64) @ weights


def degrade(truth: Pixels, scale: float, jpeg: int | None = None) -> tuple[Pixels, Pixels]:
    """Return (input, cropped truth) of one image at one scale; the input went through JPEG
    (Pillow's, 4:2:0) at quality `jpeg`, 1 to 100, if it is given."""
    low = [max(1, math.floor(n / scale + 1e-9)) for n in truth.shape[:2]]
    high = [min(round(n * scale), size) for n, size in zip(low, truth.shape[:2], strict=True)]
    cropped = truth[: high[0], : high[1]]
    small = bicubic(cropped, (low[0], low[1]))
    return (small if jpeg is None else _through_jpeg(small, jpeg)), cropped


def _through_jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def compare(output: Pixels, truth: Pixels, border: int) -> tuple[float, float]:
    """Return (PSNR-Y, SSIM-Y) of two pictures of one size, `border` pixels shaved off.

    Raises ValueError when the sizes differ.
    """
    if output.shape != truth.shape:
        raise ValueError(f"output is {output.shape}, truth is {truth.shape}")
    inside = slice(border, -border or None)
    a, b = luma(output)[inside, inside], luma(truth)[inside, inside]
    error = float(np.mean((a - b) ** 2))
    psnr = 10 * math.log10(255**2 / error) if error else float("inf")
    ssim = structural_similarity(  # type: ignore[no-untyped-call]
        a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return psnr, float(ssim)


def evaluate(
    upscaler: Upscaler, files: Sequence[Path], scale: float, jpeg: int | None = None
) -> Score:
    """Return the mean score of an upscaler over image files at one scale; see `degrade`."""
    scores = [_score(upscaler, file, scale, jpeg) for file in files]
    psnr, ssim = np.mean(scores, axis=0)
    return Score(scale, float(psnr), float(ssim), len(scores))


def _score(upscaler: Upscaler, file: Path, scale: float, jpeg: int | None) -> tuple[float, float]:
    truth = read_photograph(file)
    if min(truth.shape[:2]) < LEAST_SIDE + 2 * math.ceil(scale):
        raise WrongFile(f"{file} is too small to be measured at x{scale:g}")
    small, cropped = degrade(truth, scale, jpeg)
    output = upscaler(small, (cropped.shape[0], cropped.shape[1]))
    return compare(output, cropped, math.ceil(scale))
