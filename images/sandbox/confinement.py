"""Limits that a decoder process sets on itself before it sees foreign bytes."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from images.sandbox import seccomp

BYTES_PER_PIXEL = 44
"""Address space for the decoding of a picture, per pixel: the planes of the decoders, Pillow's
picture and the samples. At most 40 were measured (HEIC of 10 bits with transparency; JPEG XL of
16 bits 25, WebP 21, TIFF 20, AVIF 18)."""
SPARE_BYTES = 192 << 20
"""Address space beside that: the file itself, libraries that are loaded late, and malloc's arenas.
"""
OPEN_FILES = 24


def confine(max_pixels: int) -> bool:
    """Limit this process to the memory of pictures of `max_pixels`, no data written to any file, no
    core dump, few descriptors, and no system call that starts a process, opens a connection or
    changes a file. Return whether the last holds; without seccomp the others hold alone."""
    _limit(resource.RLIMIT_AS, _address_space() + SPARE_BYTES + BYTES_PER_PIXEL * max_pixels)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    return seccomp.install()


def limit_cpu(seconds: float) -> None:
    """End this process once it has computed for `seconds` from now: a second guard beside the clock
    of the worker, which may be gone."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 2, hard))


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
