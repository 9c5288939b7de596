"""The working memory of a graph per input pixel, by the growth of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from models.probing.ports import Ports

Run = Callable[[NDArray[Any]], NDArray[Any]]
SIDES = (64, 128, 256, 512)
"""Pictures are enlarged until the process grows by more than its noise."""
NOTICED = 24 << 20
"""Bytes of growth that outweigh the noise."""
LONGEST_S = 5.0
"""A run that takes longer is the last."""
SPARE = 1.5
"""The arena grows in powers of two, so a picture may take more than its part."""
LEAST_BYTES = 512


def resting_bytes() -> int:
    """Return the memory of this process."""
    return int(psutil.Process().memory_info().rss)


def find_pixel_bytes(run: Run, ports: Ports, multiple: int, resting: int) -> int:
    """Return an upper estimate of the graph's working memory per input pixel; `resting` is the
    memory of the process before its first run. The arena keeps what runs took, so it is counted
    after them."""
    per_pixel = 0.0
    for side in SIDES:
        rounded = -(-side // multiple) * multiple
        height, width = ports.height or rounded, ports.width or rounded
        picture = np.full((1, ports.channels, height, width), 0.5)
        since = time.perf_counter()
        run(picture.astype(np.float16 if ports.half else np.float32))
        grown = resting_bytes() - resting
        per_pixel = max(0, grown) / (height * width)
        fixed = ports.height is not None and ports.width is not None
        if grown > NOTICED or fixed or time.perf_counter() - since > LONGEST_S:
            break
    return max(LEAST_BYTES, round(SPARE * per_pixel))
