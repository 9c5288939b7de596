"""JPEG compression of pictures in torch on any device, without entropy coding and gradients.

Follows libjpeg as Pillow calls it: JFIF colours, the standard tables (ITU-T T.81, Annex K) scaled
by the Independent JPEG Group's quality, halved chroma by 2x2 means and back by the triangle
filter ("fancy upsampling"), every stage rounded to 8 bits as there.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

# fmt: off
LUMINANCE = (
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
)
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99,
)
# fmt: on


@torch.no_grad()
def jpeg(image: Tensor, quality: Tensor, halve_chroma: bool) -> Tensor:
    """Return image [B, 3, H, W] in [0, 1] after JPEG compression and decompression.

    quality: [B], whole numbers from 1 to 100; halve_chroma: 4:2:0, else 4:4:4.
    """
    height, width = image.shape[2:]
    tables = quantisation(quality)
    levels = _to_ycbcr((image * 255).round())
    levels = F.pad(levels, (0, -width % 16, 0, -height % 16), mode="replicate")
    luma = _quantise(levels[:, :1], tables[:, :1])[..., :height, :width]
    chroma = levels[:, 1:]
    if halve_chroma:
        chroma = _quantise(_alternate(F.avg_pool2d(chroma, 2), 1 / 4, 2 / 4), tables[:, 1:])
        chroma = chroma[..., : -(-height // 2), : -(-width // 2)]
        chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear")
        chroma = _alternate(chroma, 8 / 16, 7 / 16)
    else:
        chroma = _quantise(chroma, tables[:, 1:])
    ycbcr = torch.cat((luma, chroma[..., :height, :width]), 1)
    return _to_rgb(ycbcr).round().clamp(0, 255) / 255


def quantisation(quality: Tensor) -> Tensor:
    """Return the steps [B, 3, 64] of luma and both chroma planes for quality [B]."""
    standard, _ = _constants(quality.device)
    quality = quality.float().view(-1, 1, 1)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((standard * percent + 50) / 100).floor().clamp(1, 255)


def _quantise(planes: Tensor, tables: Tensor) -> Tensor:
    """Round the cosine coefficients of each 8x8 block of planes [B, C, H, W] to their steps."""
    _, cosines = _constants(planes.device)
    batch, count, height, width = planes.shape
    blocks = (planes - 128).view(batch, count, height // 8, 8, width // 8, 8)
    blocks = blocks.permute(0, 1, 2, 4, 3, 5).reshape(batch, count, -1, 64)
    steps = tables[:, :, None]
    # libjpeg keeps coefficients to an eighth, and rounds halves of a step away from zero.
    coefficients = (blocks @ cosines.T * 8).round() / 8
    kept = (coefficients.abs() / steps + 0.5).floor() * steps * coefficients.sign()
    blocks = kept @ cosines
    blocks = blocks.view(batch, count, height // 8, width // 8, 8, 8).permute(0, 1, 2, 4, 3, 5)
    return (blocks.reshape(planes.shape) + 128).round().clamp(0, 255)


def _alternate(planes: Tensor, even: float, odd: float) -> Tensor:
    """Round to whole levels as libjpeg does: what is added differs from column to column."""
    column = torch.arange(planes.shape[3], device=planes.device) % 2
    return (planes + even + (odd - even) * column).floor()


def _to_ycbcr(rgb: Tensor) -> Tensor:
    r, g, b = rgb.unbind(1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    blue, red = (b - luma) / 1.772 + 128, (r - luma) / 1.402 + 128
    return torch.stack((luma, blue, red), 1).round().clamp(0, 255)


def _to_rgb(ycbcr: Tensor) -> Tensor:
    luma, blue, red = ycbcr.unbind(1)
    blue, red = blue - 128, red - 128
    green = luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    return torch.stack((luma + 1.402 * red, green, luma + 1.772 * blue), 1)


@functools.cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the standard tables [3, 64] and the orthonormal 8x8 cosine transform [64, 64].

    Cached per device: sending them for every batch would make the host wait for the GPU.
    """
    tables = torch.tensor([LUMINANCE, CHROMINANCE, CHROMINANCE], dtype=torch.float32)
    n = torch.arange(8, dtype=torch.float64)
    line = torch.cos((2 * n + 1) * n[:, None] * math.pi / 16) / 2
    line[0] /= math.sqrt(2)
    return tables.to(device), torch.kron(line, line).float().to(device)
