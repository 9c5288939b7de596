"""Predicted time of decoding over the measured one, by the content of the picture.

The lines of decoding are measured as at a worker's start. Then pictures of one and of four
megapixels are decoded that no calibration has seen: smooth ones, ones with the grain of a
photograph, and noise. Both are measured in CPU time, so that other programs do not matter.

Figures: docs/scheduling.md, "Expected cost of a run".
Run: python -m studies.decode_cost
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images.decode import decode
from jobs.formats import ImageFormat
from scheduling.cost_model import CostModel
from scheduling.stages import DECODE, kind_of
from scheduling.work import Work
from studies.arguments import parser_of
from workers.calibration import codec_trials, measure

SIDES = (1000, 2000)
RUNS = 5
CLOCK = time.process_time
GRAINS = {"smooth": 0.0, "photo-like": 5.0, "noise": 80.0}
"""Standard deviations in levels of 8 bits."""

Samples = NDArray[np.uint16]


@dataclass(frozen=True)
class Case:
    """Pictures of one file format and content: bytes per pixel, and predicted over measured ms."""

    file: str
    content: str
    bytes_per_pixel: float
    ratio: float


def drawn(side: int, grain: float) -> Samples:
    """Return soft colours with grain [H, W, 3] in 16 bits."""
    random = np.random.default_rng(side)
    coarse = random.integers(0, 256, (side // 8 + 2, side // 8 + 2, 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    levels = np.asarray(soft) + random.normal(0, grain, (side, side, 3))
    return (levels.clip(0, 255) * 257).astype(np.uint16)


def _by_pillow(samples: Samples, image_format: ImageFormat, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray((samples >> 8).astype(np.uint8))
    image.save(buffer, image_format.value, **options)
    return buffer.getvalue()


def _deep_png(samples: Samples, _: ImageFormat) -> bytes:
    return bytes(imagecodecs.png_encode(samples))


FILES: dict[str, tuple[ImageFormat, Callable[[Samples, ImageFormat], bytes]]] = {
    "JPEG 90": (ImageFormat.JPEG, partial(_by_pillow, quality=90)),
    "JPEG 100": (ImageFormat.JPEG, partial(_by_pillow, quality=100, subsampling=0)),
    "PNG, 8 bits": (ImageFormat.PNG, _by_pillow),
    "PNG, 16 bits": (ImageFormat.PNG, _deep_png),
    "WebP 85": (ImageFormat.WEBP, partial(_by_pillow, quality=85)),
    "WebP, lossless": (ImageFormat.WEBP, partial(_by_pillow, lossless=True)),
}


def measured(costs: CostModel, file: str, content: str) -> Case:
    """Decode the pictures of one file format and content, and compare with the predictions."""
    image_format, encode = FILES[file]
    ratios, sizes = [], []
    for side in SIDES:
        data = encode(drawn(side, GRAINS[content]), image_format)
        work = Work(side**2, 0, "", source_bytes=len(data), source_format=image_format.value)
        ratios.append(costs.predict_stage(DECODE, work) / _decoding_ms(data, side**2))
        sizes.append(len(data) / side**2)
    return Case(file, content, statistics.mean(sizes), statistics.median(ratios))


def _decoding_ms(data: bytes, pixels: int) -> float:
    times = []
    for _ in range(RUNS):
        since = CLOCK()
        decode(data, pixels)
        times.append((CLOCK() - since) * 1e3)
    return statistics.median(times)


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    return parser_of("studies.decode_cost", __doc__).parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the line, and each ratio."""
    arguments_of(arguments)
    trials = (trial for trial in codec_trials() if kind_of(trial.stage) == DECODE)
    costs = CostModel(measure(tuple(trials), clock=CLOCK))
    for stage, line in costs.lines.items():
        print("{}: {:.2f} ms + {:.1f} / MP + {:.1f} / MP + {:.1f} / MB".format(stage, *line.parts))
    print(f"{'file':<16}{'content':<12}{'bytes / pixel':>14}{'predicted / measured':>22}")
    for file in FILES:
        for content in GRAINS:
            case = measured(costs, file, content)
            print(f"{file:<16}{content:<12}{case.bytes_per_pixel:>14.2f}{case.ratio:>22.2f}")


if __name__ == "__main__":
    main()
